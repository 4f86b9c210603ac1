"""What today's streaming notebook sends, request for request, with only the base addresses changed."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from openai import AzureOpenAI

from support.scripted import Line, scripted
from support.streams import DONE, LAST_CHUNK, STREAM_HEAD, chunked, frame
from support.whole_gateway import WholeGateway, whole_gateway
from tokenweir.policy import DebugTokens, hash_key
from tokenweir.simulator import running_simulator

SECRET = "signs the debug tokens of this test"
KEY = "the-key-of-a-subscription"
SERVICE = "/subscriptions/00000000/resourceGroups/lab-streaming/providers/Microsoft.ApiManagement/service/apim-1a2b"
MANAGEMENT_VERSION = "2023-05-01-preview"
OPENAI_VERSION = "2024-02-01"
MESSAGES: Any = [
    {"role": "system", "content": "You are a sarcastic unhelpful assistant."},
    {"role": "user", "content": "Can you tell me the time, please?"},
]


@pytest.fixture(scope="module")
def heads() -> list[bytes]:
    """The heads of the requests to the deployment ``watched``, as its upstream saw them."""
    return []


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, heads: list[bytes]) -> Iterator[WholeGateway]:
    def play(line: Line) -> None:
        heads.append(line.read_request()[0])
        head = STREAM_HEAD.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
        line.send(head + chunked(frame("a"), DONE) + LAST_CHUNK)

    with running_simulator() as sim, scripted(play) as watched:
        more = f"""
[[upstreams]]
name = "watched"
endpoint = "{watched.url}"
credential = {{ key = "upstream-key" }}

[[deployments]]
name = "gpt-35-turbo"
targets = [{{ upstream = "sim" }}]

[[deployments]]
name = "watched"
targets = [{{ upstream = "watched" }}]

[[callers]]
name = "lab"
key_sha256 = "{hash_key(KEY)}"

[tracing]
secret = "{SECRET}"
"""
        with whole_gateway(tmp_path_factory.mktemp("gateway"), sim.url, more) as running:
            yield running


def manage(gateway: WholeGateway, action: str, body: dict[str, Any]) -> Any:
    answer = requests.post(
        f"{gateway.admin_url}{SERVICE}/gateways/managed/{action}?api-version={MANAGEMENT_VERSION}",
        headers={"Authorization": "Bearer an ARM token", "Content-Type": "application/json"},
        data=json.dumps(body),
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def debug_token(gateway: WholeGateway) -> str:
    asked = {"credentialsExpireAfter": "PT1H", "apiId": f"{SERVICE}/apis/openai", "purposes": ["tracing"]}
    token = manage(gateway, "listDebugCredentials", asked)["token"]
    assert token.startswith("aid=openai&")
    return str(token)


def post(gateway: WholeGateway, token: str, deployment: str = "gpt-35-turbo") -> requests.Response:
    answer = requests.post(
        f"{gateway.url}/openai/deployments/{deployment}/chat/completions?api-version={OPENAI_VERSION}",
        headers={"api-key": KEY, "Apim-Debug-Authorization": token},
        json={"messages": MESSAGES, "stream": True},
        stream=True,
    )
    answer.raise_for_status()
    return answer


def entries(gateway: WholeGateway, headers: Any) -> dict[str, list[dict[str, Any]]]:
    trace = manage(gateway, "listTrace", {"traceId": headers["Apim-Trace-Id"]})
    assert trace["traceId"] == headers["Apim-Trace-Id"]
    told: dict[str, list[dict[str, Any]]] = trace["traceEntries"]
    return told


def assert_tells_the_call(told: dict[str, list[dict[str, Any]]]) -> None:
    assert set(told) == {"inbound", "backend", "outbound"}
    for section in told.values():
        for entry in section:
            assert set(entry) == {"source", "timestamp", "elapsed", "data"}
            datetime.fromisoformat(entry["timestamp"])
    url = "/openai/deployments/gpt-35-turbo/chat/completions"
    assert told["inbound"][0]["data"]["request"]["url"] == url
    assert told["backend"][0]["data"]["response"]["status"]["code"] == 200
    assert told["outbound"][-1]["data"]["outcome"] == "completed"


def test_the_direct_call_and_its_trace(gateway: WholeGateway) -> None:
    with post(gateway, debug_token(gateway)) as answer:
        headers = answer.headers
        lines = [line.decode() for line in answer.iter_lines() if line]

    assert headers["x-ms-region"] == "Sweden Central"
    assert headers["x-ms-stream"] == "True"
    assert lines[-1] == "data: [DONE]"
    assert all(line.startswith("data: ") for line in lines)
    assert_tells_the_call(entries(gateway, headers))


def test_the_sdks_call_and_its_trace(gateway: WholeGateway) -> None:
    client = AzureOpenAI(azure_endpoint=gateway.url, api_key=KEY, api_version=OPENAI_VERSION)
    began = time.monotonic()
    with client:
        raw = client.chat.completions.with_raw_response.create(
            model="gpt-35-turbo",
            messages=MESSAGES,
            stream=True,
            extra_headers={"Apim-Debug-Authorization": debug_token(gateway)},
        )
        delays, said, without_choices = [], "", 0
        for chunk in raw.parse():
            delays.append(time.monotonic() - began)
            if chunk.choices:
                said += chunk.choices[0].delta.content or ""
            else:
                without_choices += 1

    assert raw.headers["x-ms-region"] == "Sweden Central"
    assert raw.headers["x-ms-stream"] == "True"
    assert said
    assert without_choices == 1  # the prompt filter's; the usage that we asked for is not the client's to see
    told = entries(gateway, raw.headers)
    assert_tells_the_call(told)
    (passed_on,) = [entry["data"] for entry in told["outbound"] if "arrivals" in entry["data"]]
    assert sum(arrival["bytes"] for arrival in passed_on["arrivals"]) > len(said)


@pytest.mark.parametrize(
    ("api", "lasts", "header"),
    [
        ("openai", timedelta(seconds=-1), "Apim-Debug-Authorization-Expired"),
        ("echo", timedelta(hours=1), "Apim-Debug-Authorization-WrongAPI"),
    ],
)
def test_a_token_that_does_not_count_is_named_and_the_call_is_answered(
    gateway: WholeGateway, api: str, lasts: timedelta, header: str
) -> None:
    with post(gateway, DebugTokens(SECRET, api).issue(datetime.now(UTC) + lasts)) as answer:
        assert b"".join(answer.iter_content()).endswith(b"data: [DONE]\n\n")
    told = {name.lower() for name in answer.headers if name.lower().startswith("apim-")}
    assert header.lower() in told
    assert "apim-trace-id" not in told


def test_our_token_stays_here_and_a_foreign_one_goes_on(gateway: WholeGateway, heads: list[bytes]) -> None:
    foreign = "aid=openai&p=tracing&ex=2026-11-24t16:00:00z&sn=of-another-gateway"
    for token in (debug_token(gateway), foreign):
        with post(gateway, token, "watched") as answer:
            answer.content  # noqa: B018 - reads it to its end
    ours, theirs = heads
    assert b"apim-debug-authorization" not in ours
    assert b"apim-debug-authorization: " + foreign.encode() in theirs


@pytest.mark.parametrize("by", ["the admin port", "API Management"])
def test_the_streaming_tool_does_all_of_it_in_one_line(
    gateway: WholeGateway, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if by == "API Management":
        monkeypatch.setenv("APIM_SERVICE_ID", SERVICE)
        monkeypatch.setenv("MANAGEMENT_URL", gateway.admin_url)
        monkeypatch.setenv("MANAGEMENT_TOKEN", "an ARM token")
    arguments = ["stream", "Hello", "--endpoint", gateway.url, "--deployment", "gpt-35-turbo", "--key", KEY, "--trace"]
    shown, lines = gateway.tokenweir(*arguments), gateway.tokenweir(*arguments, "--json").splitlines()

    call_id = next(line.split()[1] for line in shown.splitlines() if "x-tokenweir-call-id" in line)
    told = shown[shown.index(f"trace {call_id}") :]
    assert "inbound  admit    lab, by key sha256-" in told
    assert "outbound settle   completed; " in told
    trace = json.loads(lines[-1])
    assert trace["type"] == "trace"
    assert_tells_the_call(trace["traceEntries"])
    assert KEY not in shown + lines[-1]


def test_the_streaming_tool_says_why_there_is_no_trace(gateway: WholeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["stream", "Hello", "--endpoint", gateway.url, "--deployment", "gpt-35-turbo", "--key", KEY, "--trace"]
    monkeypatch.setenv("APIM_API", "echo")
    command = [sys.executable, "-m", "tokenweir", *arguments, "--config", str(gateway.config)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert "answered 400 to listDebugCredentials" in done.stderr and "end apiId in /apis/openai" in done.stderr
