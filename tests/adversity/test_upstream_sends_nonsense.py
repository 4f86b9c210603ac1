"""Days on which the upstream's answer is HTTP and says nonsense: the client gets it as it is, and a record exists."""

import zlib

import pytest

from support.raw_client import RawClient, chat_request
from support.scripted import Line, Play
from support.streams import DONE, LAST_CHUNK, STREAM_HEAD, answer, chunked, frame
from support.world import World, on_both_hosts

# Beyond what any reader follows, and short enough to be looked at as one event.
DEEP = 20_000

NONSENSE = {
    "nothing": b"",
    "no JSON": b"<html>Bad Gateway</html>",
    "half a JSON": b'{"id":"a","choices":[{"message":{"content":"hel',
    "an array": b"[1,2,3]",
    "null": b"null",
    "bytes that are no UTF-8": b'{"id":"\xff\xfe","model":"\xc3","choices":[{"message":{"content":"\xf0\x9f"}}]}',
    "half an emoji": b'{"model":"\\ud83d","choices":[{"message":{"content":"\\ud83d"}}],"usage":{"a":"\\ude00"}}',
    "UTF-16": '{"usage":{"prompt_tokens":1}}'.encode("utf-16"),
    "NUL bytes": b"\0" * 2000,
    "nested without end": b'{"choices":' + b"[" * DEEP,
    "a usage nested without end": b'{"choices":[],"usage":{"a":' + b"[" * DEEP + b"]" * DEEP + b"}}",
    "a usage of text": b'{"choices":[{}],"usage":{"prompt_tokens":"seven","completion_tokens":null,"total_tokens":[]}}',
    "a usage beyond all measure": b'{"choices":[{}],"usage":{"prompt_tokens":1e400,"completion_tokens":-5,'
    b'"total_tokens":' + b"9" * 60 + b"}}",
    "a usage that is a list": b'{"usage":[{"prompt_tokens":1}]}',
    "an error that is a number": b'{"error":42}',
    "a code without end": b'{"error":{"code":"' + b"x" * 5000 + b'"}}',
    "everything twice": b'{"usage":{"prompt_tokens":1},"usage":null,"choices":null,"choices":{},"model":3,"id":[]}',
    "names of other things": b'{"choices":[{"message":"hi","delta":7,"index":"x","finish_reason":{}}],"model":{}}',
}


def play_once(told: bytes) -> Play:
    def play(line: Line) -> None:
        line.read_request()
        line.send(told)
        line.wait_closed()

    return play


@pytest.mark.parametrize("name", NONSENSE)
def test_a_body_of_nonsense_is_passed_on(world: World, name: str) -> None:
    body = NONSENSE[name]
    relay = world.relay(world.upstream(play_once(answer(body))), journal={"content": "full"})
    with RawClient(relay.address) as client:
        client.send(chat_request(deployment="faulty"))
        told = client.read_answer()
    record = relay.record()

    assert (told.status, told.body) == (200, body)
    assert record.outcome in ("completed", "upstream_broken", "upstream_error")
    assert (record.status, record.bytes_out) == (200, len(body))


@on_both_hosts
@pytest.mark.parametrize("name", NONSENSE)
def test_a_stream_of_nonsense_is_passed_on(world: World, name: str) -> None:
    event = b"data: " + NONSENSE[name] + b"\n\n"
    told = STREAM_HEAD + chunked(frame("before"), event, frame("after"), DONE) + LAST_CHUNK
    relay = world.relay(world.upstream(play_once(told)), journal={"content": "full"})
    with RawClient(relay.address) as client:
        client.send(chat_request(deployment="faulty", stream=True))
        seen = client.read_answer().body
    record = relay.record()

    assert seen == frame("before") + event + frame("after") + DONE
    assert record.status == 200
    assert record.bytes_out == len(seen)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", b"this is not gzip"),
        ("gzip", zlib.compress(b"{}", wbits=31)[:-4]),
        ("gzip", zlib.compress(b"[" * 50_000_000, wbits=31)),
        ("deflate", b"\x78\x9c" + b"\0" * 100),
        ("br", b"\x8b\x00\x80{}\x03"),
        ("gzip, gzip", b"?"),
        ("\xff\xfe", b"{}"),
    ],
    ids=["no gzip", "half a gzip", "a bomb", "no deflate", "brotli", "two layers", "no name"],
)
def test_an_encoding_that_cannot_be_read_is_passed_on(world: World, encoding: str, body: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: %b\r\ncontent-length: %d\r\n\r\n"
    told = head % (encoding.encode("latin-1"), len(body)) + body
    relay = world.relay(world.upstream(play_once(told)))
    with RawClient(relay.address) as client:
        client.send(chat_request(deployment="faulty"))
        seen = client.read_answer()
    record = relay.record()

    assert (seen.body, seen.fields["content-encoding"]) == (body, encoding)
    assert (record.status, record.bytes_out) == (200, len(body))


@on_both_hosts
def test_headers_of_nonsense_are_passed_on_and_recorded(world: World) -> None:
    lines = [
        "x-ms-region: \xff\xe9",
        "apim-request-id: \xfc" + "x" * 5000,
        "x-ms-served-model: \x80",
        "retry-after: soon",
    ]
    head = "\r\n".join(["HTTP/1.1 200 \xe9t\xe9", "content-type: \xff", "content-length: 2", *lines, "", ""])
    told = head.encode("latin-1") + b"{}"
    relay = world.relay(world.upstream(play_once(told)))
    with RawClient(relay.address) as client:
        client.send(chat_request(deployment="faulty"))
        seen = client.read_answer()
    record = relay.record()

    assert (seen.status, seen.body, seen.fields["x-ms-region"]) == (200, b"{}", "\xff\xe9")
    assert record.region == "\xff\xe9"
