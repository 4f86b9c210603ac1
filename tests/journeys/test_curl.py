"""The same with ``curl``: what a person types, and what every other language's client amounts to."""

import json
import shutil
import subprocess

import pytest

from support.relay_thread import KEY, RelayThread

CURL = shutil.which("curl")
pytestmark = pytest.mark.skipif(CURL is None, reason="SKIPPED LOUDLY: there is no curl on this machine")

BODY = json.dumps({"stream": True, "messages": [{"role": "user", "content": "Hello"}]})
CHAT = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"


def curl(*arguments: str) -> str:
    return subprocess.run([CURL or "curl", "-sS", *arguments], check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_a_stream_on_the_proxy_functions_paths(relay: RelayThread, prefix: str) -> None:
    answer = curl("-N", "-i", f"{relay.url}{prefix}{CHAT}", "-H", f"api-key: {KEY}", "-d", BODY)

    assert answer.startswith("HTTP/1.1 200 OK")
    assert "x-ms-region: Sweden Central" in answer
    assert "x-ms-stream: True" in answer
    assert answer.endswith("data: [DONE]\n\n")
    assert '"usage":{' not in answer
    assert relay.record().usage.total_tokens > 0


@pytest.mark.parametrize(
    "key", [["-H", f"Ocp-Apim-Subscription-Key: {KEY}"], ["-H", f"Authorization: Bearer {KEY}"], []]
)
def test_the_key_in_every_place_where_clients_put_it(relay: RelayThread, key: list[str]) -> None:
    url = f"{relay.url}{CHAT}" + ("" if key else f"&subscription-key={KEY}")
    curl(url, *key, "-d", BODY)
    record = relay.record()

    assert (record.status, record.caller) == (200, "team-a")
    assert KEY not in record.path


def test_a_body_in_chunks_with_expect_continue(relay: RelayThread) -> None:
    answer = curl(
        "-i", f"{relay.url}{CHAT}", "-H", f"api-key: {KEY}", "-H", "Transfer-Encoding: chunked",
        "-H", "Expect: 100-continue", "-d", BODY,
    )  # fmt: skip

    assert "HTTP/1.1 100 Continue" in answer
    assert "HTTP/1.1 200 OK" in answer
    assert relay.record().bytes_in == len(BODY)


def test_a_wrong_key_says_what_to_do(relay: RelayThread) -> None:
    error = json.loads(curl(f"{relay.url}{CHAT}", "-H", "api-key: wrong", "-d", BODY))["error"]

    assert error["code"] == "invalid_api_key"
    assert "the key your platform team gave you" in error["message"]
