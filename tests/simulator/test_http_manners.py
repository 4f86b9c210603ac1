"""The simulator's side of HTTP/1.1: what a proxy in front of it will rely on."""

import asyncio
import gc
import hashlib
import json
import signal
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import msgspec
import pytest

from tokenweir import vocabulary
from tokenweir.errors import ConfigError
from tokenweir.simulator import HostedSimulator, SentCall, Simulator, SimulatorSettings, running_simulator

Talk = Callable[[bytes], bytes]

CHAT = b"/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"
HELLO = b'{"messages":[{"role":"user","content":"Hello"}]}'
STREAMED = b'{"stream":true,"messages":[{"role":"user","content":"Hello"}]}'


def request(body: bytes, *headers: bytes, version: bytes = b"1.1") -> bytes:
    lines = [b"POST %b HTTP/%b" % (CHAT, version), b"content-length: %d" % len(body), *headers]
    return b"\r\n".join([*lines, b"", body])


def test_requests_sent_together_are_answered_in_order(sim: HostedSimulator, talk: Talk) -> None:
    answer = talk(
        request(STREAMED, b"x-client-request-id: 1")
        + request(HELLO, b"x-client-request-id: 2")
        + request(STREAMED, b"x-client-request-id: 3", b"connection: close")
    )
    assert answer.count(b"HTTP/1.1 200 OK") == 3
    assert [call.client_request_id for call in sim.calls] == ["1", "2", "3"]


def test_a_thousand_requests_sent_together_are_answered(sim: HostedSimulator, talk: Talk) -> None:
    answer = talk(b"GET / HTTP/1.1\r\n\r\n" * 1000 + b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200 OK") == 1001


def test_a_chunked_request_body_is_read(talk: Talk) -> None:
    half = len(HELLO) // 2
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (HELLO[:half], HELLO[half:], b""))
    head = b"POST %b HTTP/1.1\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n" % CHAT
    assert talk(head + chunks).startswith(b"HTTP/1.1 200 OK\r\n")


def test_who_expects_100_continue_gets_it(talk: Talk) -> None:
    answer = talk(request(HELLO, b"expect: 100-continue", b"connection: close"))
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")


def test_an_old_client_gets_a_stream_without_chunks_and_the_end(talk: Talk) -> None:
    head, body = talk(request(STREAMED, version=b"1.0")).split(b"\r\n\r\n", 1)
    assert b"connection: close" in head
    assert b"transfer-encoding" not in head
    assert body.startswith(b"data: {")
    assert body.endswith(b"data: [DONE]\n\n")


def test_head_says_how_long_the_answer_would_be(sim: HostedSimulator) -> None:
    url = f"{sim.url}/v1/models"
    assert httpx.head(url).headers["content-length"] == str(len(httpx.get(url).content))


@pytest.mark.parametrize("noise", [b"\x16\x03\x01\x02\x00\x01\x00", b"HELLO\r\n\r\n"])
def test_what_is_not_http_is_answered_with_400_and_the_end(talk: Talk, noise: bytes) -> None:
    assert talk(noise).startswith(b"HTTP/1.1 400 Bad Request\r\n")


def test_an_upgrade_is_not_taken(talk: Talk) -> None:
    answer = talk(b"GET /v1/models HTTP/1.1\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


def test_other_paths_say_what_arrived(sim: HostedSimulator) -> None:
    files = {"file": ("a.bin", bytes(range(256)) * 1000)}
    sent = httpx.Request("POST", f"{sim.url}/openai/uploads?api-version=2024-10-21", files=files)
    with httpx.Client() as client:
        answer = client.send(sent).json()
    assert answer["bytes"] == len(sent.read())
    assert answer["sha256"] == hashlib.sha256(sent.read()).hexdigest()
    assert answer["content_type"].startswith("multipart/form-data; boundary=")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("POST", "/openai/deployments/gpt-4o/chat/completions", 404, "404"),
        ("GET", "/nothing/here", 404, "404"),
        ("GET", "/openai/v1/chat/completions", 405, "405"),
    ],
)
def test_wrong_requests_are_refused_in_azures_shape_and_entered(
    sim: HostedSimulator, method: str, path: str, status: int, code: str
) -> None:
    answer = httpx.request(method, sim.url + path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert [call.status for call in sim.calls] == [status]


def test_the_book_is_read_and_cleared_over_http(sim: HostedSimulator) -> None:
    for number in ("1", "2"):
        httpx.post(
            f"{sim.url}{CHAT.decode()}", content=HELLO, headers={"x-tokenweir-call-id": number}
        ).raise_for_status()
    lines = httpx.get(f"{sim.url}/simulator/calls").text.splitlines()
    read = [msgspec.json.decode(line, type=SentCall) for line in lines]
    assert read == sim.calls
    assert [call.client_request_id for call in read] == ["1", "2"]
    assert len(httpx.delete(f"{sim.url}/simulator/calls").text.splitlines()) == 2
    assert sim.calls == []


def test_the_ledger_file_has_a_line_for_each_call_at_once(tmp_path: Path) -> None:
    ledger = tmp_path / "calls.jsonl"
    with running_simulator(SimulatorSettings(ledger=str(ledger))) as sim:
        httpx.post(f"{sim.url}{CHAT.decode()}", content=HELLO)
        httpx.get(f"{sim.url}/nothing")
        assert [call.status for call in sim.calls] == [200, 404]
        assert [json.loads(line)["status"] for line in ledger.read_text().splitlines()] == [200, 404]


def test_waiting_for_calls_that_do_not_come_says_how_many_came(sim: HostedSimulator) -> None:
    with pytest.raises(TimeoutError, match="0 of 1 calls have ended"):
        sim.wait_for_calls(1, within=0.01)


def test_who_waits_for_calls_hears_of_them_when_they_end() -> None:
    async def ask() -> None:
        async with Simulator() as sim, httpx.AsyncClient() as web:
            waiting = asyncio.ensure_future(sim.wait_for_calls(2))
            for _ in range(2):
                await web.get(f"{sim.url}/v1/models")
            assert len(await waiting) == 2

    asyncio.run(ask())


def test_the_calls_can_be_forgotten(sim: HostedSimulator) -> None:
    httpx.get(f"{sim.url}/v1/models")
    sim.clear()
    assert sim.calls == []


@pytest.mark.parametrize("body", [b"{", b'{"messages": "\xff"}', b'{"messages": ' + b"[" * 100_000])
def test_a_body_that_is_not_json_is_refused(sim: HostedSimulator, body: bytes) -> None:
    answer = httpx.post(f"{sim.url}{CHAT.decode()}", content=body)
    assert answer.status_code == 400
    assert "could not parse the JSON body" in answer.json()["error"]["message"]


def test_an_end_in_the_middle_of_a_stream_enters_it_and_leaves_nothing_behind(tmp_path: Path) -> None:
    ledger = tmp_path / "calls.jsonl"
    before = set(threading.enumerate())
    with ExitStack() as client:
        with running_simulator(SimulatorSettings(ledger=str(ledger))) as sim:
            told = {"x-simulate": '{"hang_after": 2}'}
            url = f"{sim.url}{CHAT.decode()}"
            response = client.enter_context(httpx.stream("POST", url, content=STREAMED, headers=told))
            next(response.iter_raw())
        entered = msgspec.json.decode(ledger.read_bytes(), type=SentCall)
    assert (entered.visible_tokens, entered.finished) == (6, False)
    assert [thread.name for thread in set(threading.enumerate()) - before if thread.name == "simulator"] == []


def test_ctrl_c_while_it_starts_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    before = set(threading.enumerate())
    main = threading.get_ident()
    monkeypatch.setattr(vocabulary, "load", lambda name: signal.pthread_kill(main, signal.SIGINT))
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background ignore it
    try:
        with pytest.raises(KeyboardInterrupt), running_simulator():
            pass
    finally:
        signal.signal(signal.SIGINT, usual)
    gc.collect()
    assert [thread.name for thread in set(threading.enumerate()) - before if thread.name == "simulator"] == []
    assert caplog.messages == []


def test_an_address_in_use_and_a_missing_file_are_config_errors(sim: HostedSimulator, tmp_path: Path) -> None:
    taken = urlsplit(sim.url).netloc
    for settings, words in (
        (SimulatorSettings(listen=taken), "Cannot listen on"),
        (SimulatorSettings(listen="nowhere"), "Cannot listen on"),
        (SimulatorSettings(listen="127.0.0.1:99999"), "Cannot listen on '127.0.0.1:99999': it is not an address"),
        (SimulatorSettings(certificate=str(tmp_path / "none.pem")), "certificate"),
        (SimulatorSettings(ledger=str(tmp_path / "none" / "calls")), "ledger"),
    ):
        with pytest.raises(ConfigError, match=words), running_simulator(settings):
            pass
