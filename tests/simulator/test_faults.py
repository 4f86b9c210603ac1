"""What goes wrong on the wire when the script says so, and what the book says about it."""

import http.client
import json
import socket
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest
from openai import AzureOpenAI, Stream
from openai.types.chat import ChatCompletionChunk

from tokenweir import vocabulary
from tokenweir.records import Duration
from tokenweir.simulator import HostedSimulator, Script

HELLO: list[Any] = [{"role": "user", "content": "Hello"}]
AZURE_CHAT = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"

Post = Callable[..., http.client.HTTPResponse]


@pytest.fixture
def connection(sim: HostedSimulator) -> Iterator[http.client.HTTPConnection]:
    address = urlsplit(sim.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=20)
    yield connection
    connection.close()


@pytest.fixture
def post(connection: http.client.HTTPConnection) -> Post:
    """Posts a chat and returns the response with its body unread, as the wire gives it."""

    def send(script: Script, **body: Any) -> http.client.HTTPResponse:
        sent = json.dumps({"messages": HELLO, "stream": True, **body})
        connection.request("POST", AZURE_CHAT, sent, headers=script.headers())
        return connection.getresponse()

    return send


def stream(azure: AzureOpenAI, script: Script) -> Stream[ChatCompletionChunk]:
    return azure.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True, extra_headers=script.headers())


def visible(data: bytes) -> int:
    """The tokens of the text in what has been received of a stream."""
    events = [json.loads(line[6:]) for line in data.decode().splitlines() if line.startswith("data: {")]
    deltas = [choice["delta"] for event in events for choice in event["choices"]]
    return vocabulary.count("".join(delta.get("content") or "" for delta in deltas), "o200k_base")


def read_until(response: http.client.HTTPResponse, error: type[Exception]) -> bytes:
    """What can be read before the connection breaks with this error."""
    received = b""
    with pytest.raises(error):
        while True:
            received += response.read1() or response.read(1)
    return received


def test_a_reset_arrives_after_the_chunks_it_was_told_to_follow(sim: HostedSimulator, post: Post) -> None:
    response = post(Script(output_tokens=60, reasoning_tokens=9, reset_after=5))
    received = read_until(response, ConnectionResetError)
    assert visible(received) == 15
    [call] = sim.wait_for_calls(1)
    assert (call.visible_tokens, call.completion_tokens) == (15, 24)
    assert (call.finished, call.usage_sent, call.status) == (False, False, 200)


def test_a_close_ends_the_bytes_without_ending_the_answer(sim: HostedSimulator, post: Post) -> None:
    response = post(Script(output_tokens=60, close_after=5))
    received = read_until(response, http.client.IncompleteRead)
    assert visible(received) == 15
    [call] = sim.wait_for_calls(1)
    assert (call.visible_tokens, call.finished) == (15, False)


def test_a_hang_is_silence_until_the_reader_leaves(
    sim: HostedSimulator, connection: http.client.HTTPConnection, post: Post
) -> None:
    response = post(Script(output_tokens=60, hang_after=5))
    received = b""
    while visible(received) < 15:
        received += response.read1()
    assert sim.calls == []
    response.close()
    connection.close()
    [call] = sim.wait_for_calls(1)
    assert (call.visible_tokens, call.finished) == (15, False)


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (Script(reset_after=0), ConnectionResetError),
        (Script(close_after=0), http.client.RemoteDisconnected),
    ],
)
def test_a_fault_after_nothing_comes_before_the_head(
    sim: HostedSimulator, post: Post, script: Script, error: type[Exception]
) -> None:
    with pytest.raises(error):
        post(script)
    [call] = sim.wait_for_calls(1)
    assert (call.visible_tokens, call.finished) == (0, False)


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (Script(reset_after=1), ConnectionResetError),
        (Script(close_after=1), http.client.IncompleteRead),
    ],
)
def test_a_whole_answer_breaks_in_the_middle_of_its_body(
    sim: HostedSimulator, post: Post, script: Script, error: type[Exception]
) -> None:
    response = post(script, stream=False)
    with pytest.raises(error):
        response.read()
    [call] = sim.wait_for_calls(1)
    assert (call.visible_tokens, call.finished, call.usage_sent) == (0, False, False)
    assert call.completion_tokens > 0


def test_an_error_frame_raises_in_the_sdk(sim: HostedSimulator, azure: AzureOpenAI) -> None:
    received = 0
    with pytest.raises(openai.APIError, match="The server had an error"):
        for _ in stream(azure, Script(output_tokens=60, error_frame_after=5)):
            received += 1
    assert received == 1 + 1 + 5
    [call] = sim.calls
    assert (call.visible_tokens, call.completion_tokens, call.usage_sent) == (15, 15, False)


def test_a_stream_without_done_still_ends_well(sim: HostedSimulator, post: Post) -> None:
    received = post(Script(output_tokens=6, no_done=True)).read()
    assert b"[DONE]" not in received
    assert visible(received) == 6
    assert sim.calls[0].finished


def test_a_client_that_leaves_is_noticed_and_what_it_got_is_known(sim: HostedSimulator, azure: AzureOpenAI) -> None:
    script = Script(output_tokens=30_000, chunk_delay=Duration(0.005))
    with stream(azure, script) as chunks:
        first = next(chunk for chunk in chunks if chunk.choices and chunk.choices[0].delta.content)
    assert first.choices[0].delta.content
    [call] = sim.wait_for_calls(1)
    assert not call.finished
    assert 0 < call.visible_tokens < 30_000
    assert call.completion_tokens == call.visible_tokens


def test_a_slow_reader_stops_the_writing_and_loses_nothing(sim: HostedSimulator) -> None:
    address = urlsplit(sim.url)
    script = Script(output_tokens=30_000, chunk_tokens=1)
    body = json.dumps({"messages": HELLO, "stream": True}).encode()
    told = script.text().encode()
    head = b"POST %b HTTP/1.0\r\nx-simulate: %b\r\ncontent-length: %d\r\n\r\n"
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        connection.sendall(head % (AZURE_CHAT.encode(), told, len(body)) + body)
        first = connection.recv(1)
        assert sim.calls == []  # some 12 MB do not fit into the kernel's buffers
        rest = b"".join(iter(lambda: connection.recv(1 << 20), b""))
    assert visible((first + rest).split(b"\r\n\r\n", 1)[1]) == 30_000
    assert sim.calls[0].finished


@pytest.mark.parametrize("split", [1, 7, 1000])
def test_a_split_stream_arrives_whole(sim: HostedSimulator, azure: AzureOpenAI, split: int) -> None:
    script = Script(output_tokens=20, split=split, crlf=True, comments=True)
    text = "".join(choice.delta.content or "" for chunk in stream(azure, script) for choice in chunk.choices)
    assert vocabulary.count(text, "o200k_base") == 20
    assert sim.calls[0].finished


def test_a_zipped_stream_arrives_whole(azure: AzureOpenAI) -> None:
    chunks = list(stream(azure, Script(output_tokens=30, gzip=True)))
    assert sum(bool(chunk.choices and chunk.choices[0].delta.content) for chunk in chunks) == 10
