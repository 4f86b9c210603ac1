"""What today's notebooks ask Azure Resource Manager before they call, through Microsoft's own client, with only the
address changed; and the call that they then make."""

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
import requests

from support.azure_models import sdk_folder
from support.whole_gateway import WholeGateway, whole_gateway
from tokenweir.policy import hash_key
from tokenweir.simulator import running_simulator

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

KEY = "the-key-of-a-subscription"
# As AI-Gateway's APIMClientTool does it. Microsoft's client sends a token over TLS only; the admin port has none.
ASKED = """
import json, sys
from azure.core.pipeline.policies import HeadersPolicy
from azure.mgmt.apimanagement import ApiManagementClient

client = ApiManagementClient(
    object(), "5", base_url=sys.argv[1], authentication_policy=HeadersPolicy({"Authorization": "Bearer an ARM token"})
)
[listed] = client.api_management_service.list()
[grouped] = client.api_management_service.list_by_resource_group("lab")
service = client.api_management_service.get("lab", "apim")
keys = [
    client.subscription.list_secrets("lab", "apim", str(one.name)).primary_key
    for one in client.subscription.list("lab", "apim")
]
api = next(api for api in client.api.list_by_service("lab", "apim") if "/openai" in api.path)
print(json.dumps({
    "service": service.id, "url": service.gateway_url, "keys": keys, "api": api.id, "path": api.path,
    "same": [listed.gateway_url, grouped.gateway_url],
}))
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeGateway]:
    with pytest.MonkeyPatch.context() as patch, running_simulator() as sim:
        patch.setenv("LAB_KEY", KEY)
        more = f"""
[[deployments]]
name = "gpt-4.1-mini"
targets = [{{ upstream = "sim" }}]

[[callers]]
name = "lab"
key_sha256 = "{hash_key(KEY)}"

[tracing]
subscription_key_env = "LAB_KEY"
"""
        with whole_gateway(tmp_path_factory.mktemp("gateway"), sim.url, more) as running:
            yield running


def test_microsofts_client_finds_service_api_and_key_and_the_call_goes_where_they_say(gateway: WholeGateway) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", ASKED, gateway.admin_url],
        env={"PYTHONPATH": str(sdk_folder()), "NO_PROXY": "127.0.0.1"},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert told["keys"] == [KEY, KEY] and told["same"] == [told["url"]] * 2

    endpoint = f"{told['url']}/{told['path'].replace('/openai', '')}"
    asked = {
        "credentialsExpireAfter": "PT1H",
        "apiId": f"{told['service']}/apis/{told['api']}",
        "purposes": ["tracing"],
    }
    token = requests.post(
        f"{gateway.admin_url}{told['service']}/gateways/managed/listDebugCredentials?api-version=2023-05-01-preview",
        headers={"Content-Type": "application/json"},
        data=str(asked),
    ).json()["token"]
    answer = requests.post(
        f"{endpoint}/openai/deployments/gpt-4.1-mini/chat/completions?api-version=2025-03-01-preview",
        headers={"api-key": told["keys"][1], "Apim-Debug-Authorization": token},
        json={"messages": [{"role": "user", "content": "Count to 3."}], "stream": True},
    )
    assert answer.status_code == 200
    assert answer.headers["x-ms-stream"] == "True"
    trace = requests.post(
        f"{gateway.admin_url}{told['service']}/gateways/managed/listTrace?api-version=2023-05-01-preview",
        headers={"Content-Type": "application/json"},
        data=str({"traceId": answer.headers["Apim-Trace-Id"]}),
    ).json()
    assert set(trace["traceEntries"]) == {"inbound", "backend", "outbound"}
