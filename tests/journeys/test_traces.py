"""Nothing that may be secret is in a trace, whichever way somebody looks at it."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from support.scripted import Line, scripted
from support.streams import DONE, LAST_CHUNK, chunked, frame
from support.whole_gateway import WholeGateway, whole_gateway
from tokenweir.policy import hash_key

CANARY = "c4n4ry"
KEY = f"the key {CANARY}"

SECRET_HEADERS = [
    *("api-key", "Authorization", "Ocp-Apim-Subscription-Key", "Cookie", "Proxy-Authorization", "Referer", "Origin"),
    *("X-Api-Key", "X-Auth-Token", "X-Forwarded-For", "X-Forwarded-Authorization", "Forwarded", "From", "If-Match"),
    *("X-MS-Token-AAD-Access-Token", "x-ms-client-principal", "X-Functions-Key", "aeg-sas-key", "X-Amz-Security-Token"),
    *("X-User-Id", "X-Nobody-Knows-This", "baggage", "tracestate", "X-B3-TraceId", "OpenAI-Organization"),
    *("OpenAI-Project", "OpenAI-Beta", "Accept-Language", "Content-MD5", "Idempotency-Key", "Sec-WebSocket-Key"),
]
SECRET_ANSWERS = [
    "set-cookie",
    "www-authenticate",
    "location",
    "x-secret-of-upstream",
    "authorization",
    "openai-organization",
]
BODY = {
    "messages": [{"role": "user", "content": CANARY, "name": CANARY}, {"role": "tool", "tool_call_id": CANARY}],
    "user": CANARY,
    "metadata": {CANARY: CANARY},
    "stop": [CANARY],
    "tools": [{"type": "function", "function": {"name": CANARY, "description": CANARY}}],
    "data_sources": [{"type": "azure_search", "parameters": {"authentication": {"key": CANARY}}}],
    "stream": True,
    "stream_options": {"include_usage": True, CANARY: CANARY},
    CANARY: CANARY,
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeGateway]:
    """In front of an upstream that says secrets in each header of its answers, which are streams or refusals."""
    said = "".join(f"{name}: {CANARY}\r\n" for name in SECRET_ANSWERS)

    def play(line: Line) -> None:
        line.read_request()
        status = "429 Too Many Requests" if line.number == 1 else "200 OK"
        head = f"HTTP/1.1 {status}\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n"
        line.send(f"{head}connection: close\r\n{said}\r\n".encode() + chunked(frame(CANARY), DONE) + LAST_CHUNK)

    more = f"""
[[callers]]
name = "team-a"
key_sha256 = "{hash_key(KEY)}"

[tracing]
sample = 1.0
"""
    folder = tmp_path_factory.mktemp("gateway")
    with scripted(play) as upstream, whole_gateway(folder, upstream.url, more) as running:
        yield running


def test_nothing_secret_is_in_a_trace_however_it_is_shown(gateway: WholeGateway) -> None:
    path = f"{gateway.url}/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"
    debug_name, debug_token = gateway.tokenweir("trace", "--token").strip().split(": ", 1)
    headers = dict.fromkeys(SECRET_HEADERS, CANARY)
    asked = [
        (path, {**headers, "api-key": KEY}),
        (path, {**headers, "api-key": KEY, debug_name: debug_token}),
        (f"{path}&subscription-key={KEY}&sig={CANARY}&{CANARY}={CANARY}", {}),
        (path, headers),  # refused, as nobody knows this key
        (path, {**headers, "api-key": KEY, debug_name: f"aid=openai&sn={CANARY}"}),
    ]
    ids, statuses = [], []
    with httpx.Client() as client:
        for url, given in asked:
            answer = client.post(url, headers=given, json=BODY)
            ids.append(answer.headers["x-tokenweir-call-id"])
            statuses.append(answer.status_code)
    assert statuses == [200, 429, 200, 401, 200]
    while httpx.get(f"{gateway.admin_url}/api/calls/{ids[-1]}").status_code != 200:
        pass
    for call_id in ids:
        record = httpx.get(f"{gateway.admin_url}/api/calls/{call_id}").json()
        assert record["trace"]["request_headers"]
        told = httpx.post(
            f"{gateway.admin_url}/subscriptions/s/resourceGroups/g/providers/Microsoft.ApiManagement/service/n"
            "/gateways/managed/listTrace?api-version=2023-05-01-preview",
            json={"traceId": call_id},
        )
        drawn = gateway.tokenweir("trace", call_id, "--headers")
        assert told.status_code == 200
        assert ": ****" in drawn and "****" in told.text
        for shown in (json.dumps(record), told.text, drawn):
            assert CANARY not in shown
            assert debug_token not in shown


def test_nor_is_it_on_disk_or_in_a_log(gateway: WholeGateway) -> None:
    folder: Path = gateway.config.parent
    written = [folder / "log", *(path for path in (folder / "journal").rglob("*") if path.is_file())]
    assert len(written) > 2
    for path in written:
        assert CANARY.encode() not in path.read_bytes(), path
