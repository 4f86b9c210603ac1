"""From API Management's subscriptions to Tokenweir's callers."""

import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.apim_policies import build_policy_runner
from support.whole_gateway import whole_gateway
from tokenweir.policy import Keyring, read_keys
from tokenweir.records import SystemClock
from tokenweir.simulator import running_simulator

SCRIPT = Path(__file__).resolve().parents[2] / "deploy" / "azure" / "apim" / "callers.sh"
INSTANCE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ApiManagement/service/contoso"

# In the place of the Azure command line: two pages of subscriptions, each with two keys.
AZ = r"""#!/bin/sh
case "$*" in
  *nobody*) ;;
  *fails*) echo "ERROR: (ResourceNotFound)" >&2; exit 3 ;;
  *" get "*skip=1*value*) echo team-b ;;
  *" get "*skip=1*nextLink*) ;;
  *" get "*value*) echo team-a ;;
  *" get "*nextLink*) echo "https://management.azure.com/next?skip=1" ;;
  *" post "*team-a/listSecrets*) printf 'a-first\na-second\n' ;;
  *" post "*team-b/listSecrets*) printf 'b-first\nb-second\n' ;;
esac
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "az").write_text(AZ)
    (folder / "az").chmod(0o755)
    environment = {"PATH": f"{folder}:{os.environ['PATH']}"}
    return subprocess.run([SCRIPT, *arguments], env=environment, capture_output=True, text=True)


def test_every_key_of_every_subscription_opens_the_gateway(tmp_path: Path) -> None:
    done = run(tmp_path, INSTANCE)
    assert (done.returncode, done.stderr) == (0, "")
    (tmp_path / "keys.json").write_text(done.stdout)

    keyring = Keyring([], read_keys(tmp_path / "keys.json"))

    for key, caller in [("a-first", "team-a"), ("a-second", "team-a"), ("b-first", "team-b"), ("b-second", "team-b")]:
        identity = keyring.identify(key.encode(), SystemClock().now())
        assert (identity.caller, identity.key_id) == (caller, hashlib.sha256(key.encode()).hexdigest())
        assert key not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "status"), [([], 2), (["/subscriptions/fails"], 3), (["/subscriptions/nobody"], 1)]
)
def test_what_goes_wrong_leaves_no_keys_file_that_opens_the_port(
    tmp_path: Path, arguments: list[str], status: int
) -> None:
    done = run(tmp_path, *arguments)
    assert done.returncode == status
    assert done.stdout == ""
    assert done.stderr


def test_a_teams_streams_and_its_other_calls_are_charged_to_one_name(tmp_path: Path) -> None:
    """The plain call as API Management logs it, the stream as the gateway records what API Management sends on."""
    runner = build_policy_runner(tmp_path)
    (tmp_path / "keys.json").write_text(run(tmp_path, INSTANCE).stdout)
    call: dict[str, Any] = {
        "policy": "policy-meter.xml",
        "url": "https://contoso.azure-api.net/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21",
        "headers": {"Content-Type": "application/json", "Ocp-Apim-Subscription-Key": "a-second"},
        "body": '{"messages":[{"role":"user","content":"Hi"}]}',
        "requestId": "6f9a4f0e-3c41-4d36-9d0b-6f3f4ac0a8b1",
        "elapsedMs": 10,
        "subscription": {"id": "team-a", "key": "a-second"},
        "answers": [{"status": 200, "headers": {"Content-Type": "application/json"}, "body": "{}"}],
    }
    stream = call | {"body": call["body"][:-1] + ',"stream":true}'}
    plain, streamed = runner.run([call, stream])
    event = json.loads(plain["logged"][0])
    (sent,) = streamed["sent"]

    with running_simulator() as simulator, whole_gateway(tmp_path, simulator.url) as gateway:
        url = f"{gateway.url}/openai/deployments/gpt-4o/chat/completions?{sent['query'][0]}"
        answer = httpx.post(url, content=sent["body"], headers=sent["headers"])
        assert answer.status_code == 200, answer.text
        record_url = f"{gateway.admin_url}/api/calls/{answer.headers['x-tokenweir-call-id']}"
        while (found := httpx.get(record_url)).status_code == 404:
            pass  # It is in the books some milliseconds after its answer's end.

    record = found.json()
    assert (record["caller"], record["key_id"]) == (
        event["subscriptionId"],
        event["appSubscriptionKey"].removeprefix("sha256:"),
    )
    assert record["usage_source"] == "reported"
