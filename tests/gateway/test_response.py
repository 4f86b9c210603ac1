"""How an answer passes on to its client, and what strict durability keeps back of it."""

import asyncio

import pytest
from hypothesis import given, strategies as st

from support.clocks import JumpingClock
from support.http_bytes import cut, cuts
from support.receivers import MemoryTransport, Owner, Recorder
from support.streams import DONE, USAGE, answer, frame
from tokenweir.apis import surface_of
from tokenweir.gateway.request import Client
from tokenweir.gateway.response import Response
from tokenweir.metering import meter_for
from tokenweir.records import Outcome
from tokenweir.upstream import UpstreamConnection
from tokenweir.wire import ResponseHeadReader, UsageStripper

ODD = frame('\\"usage\\":{')
NULL = frame("d").replace(b"]}", b'],"usage":null}')
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n"


class Reader(Client):
    """A client that keeps what it is given."""

    def __init__(self) -> None:
        super().__init__(None)
        self.head = b""
        self.written = b""

    def respond(self, line: bytes, lines: bytes, *, length: int | None, has_body: bool, is_followed: bool) -> None:
        assert not self.head
        self.head = line

    def write(self, data: bytes) -> None:
        assert self.head and data
        self.written += data

    def write_chunk(self, data: bytes, chunk: bytes) -> None:
        assert chunk == b"%x\r\n%b\r\n" % (len(data), data)
        self.write(data)

    def switch(self, line: bytes, lines: bytes, protocol: asyncio.BaseProtocol) -> tuple[asyncio.Transport, bytes]:
        raise AssertionError("no sockets here")


class OneAnswer:
    """One answer on its way: an upstream's connection in memory, the response, and its client."""

    def __init__(self, *, holds_end: bool, strips: bool = False) -> None:
        self.outcomes: list[tuple[Outcome, str | None]] = []
        self.client = Reader()
        self.connection = UpstreamConnection(Owner(), ResponseHeadReader())
        self.transport = MemoryTransport(self.connection)
        self._clock = JumpingClock()
        self._holds_end = holds_end
        self._strips = strips
        self.response: Response
        self.connection.begin(Recorder(self._head_received), b"", is_head_request=False)

    def _head_received(self) -> None:
        recorder = self.connection.receiver
        assert isinstance(recorder, Recorder) and recorder.head is not None
        meter = meter_for(
            surface_of("chat_completions"),
            event_stream=True,
            content_encoding="",
            keep_content=False,
            monotonic=self._clock.monotonic,
        )
        self.response = Response(
            self,
            self.client,
            self.connection,
            meter,
            self._clock,
            holds_end=self._holds_end,
            stripper=UsageStripper() if self._strips else None,
        )
        self.connection.receiver = self.response
        self.response.start(recorder.head, b"", is_head_request=False)

    def answer_ended(self, outcome: Outcome, error_code: str | None) -> None:
        self.outcomes.append((outcome, error_code))


@given(st.data())
@pytest.mark.parametrize(
    "done", [DONE, b"data:[DONE]\n\n", b"data: [DONE]\r\n\r\n", b"data: [DONE]\n", b"data: [DONE]"]
)
def test_nothing_of_the_end_is_seen_before_it_is_released(done: bytes, data: st.DataObject) -> None:
    before = frame("one") + frame("data") + USAGE
    body = before + done
    call = OneAnswer(holds_end=True)
    call.transport.deliver(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
    arrived = 0
    for piece in filter(None, cut(body, data.draw(cuts(body)))):
        call.transport.deliver(b"%x\r\n%b\r\n" % (len(piece), piece))
        arrived += len(piece)
        # all that came is passed on, but for the end and what may be the beginning of it
        assert call.client.written.startswith(before[: max(0, arrived - len(done))])
        assert before.startswith(call.client.written)
    call.transport.deliver(b"0\r\n\r\n")

    assert call.outcomes == [("completed", None)]
    assert call.client.written == before
    call.response.release()
    assert call.client.written == body


@given(st.data())
def test_a_body_of_known_length_is_complete_only_when_it_is_released(data: st.DataObject) -> None:
    body = b'{"id":"a"}'
    whole = answer(body)
    call = OneAnswer(holds_end=True)
    for piece in filter(None, cut(whole, data.draw(cuts(whole)))):
        call.transport.deliver(piece)
        assert len(call.client.written) < len(body)
    call.response.release()
    assert call.client.written == body


def test_without_strictness_everything_passes_at_once() -> None:
    call = OneAnswer(holds_end=False)
    call.transport.deliver(STREAM % len(frame("one") + DONE) + frame("one"))
    assert call.client.written == frame("one")
    call.transport.deliver(DONE)
    assert call.client.written == frame("one") + DONE


@given(st.lists(st.sampled_from([frame("a"), frame("bc"), frame("usage"), ODD, NULL, USAGE]), max_size=12), st.data())
def test_of_a_stream_the_usage_is_taken_out_and_nothing_else_however_it_comes(
    events: list[bytes], data: st.DataObject
) -> None:
    """Also where the meter knows an event already, so that it is not looked at for usage."""
    stream = b"".join([*events, DONE])
    at = data.draw(st.none() | cuts(stream))
    one = OneAnswer(holds_end=False, strips=True)
    one.transport.deliver(STREAM % len(stream))
    for piece in filter(None, [*events, DONE] if at is None else cut(stream, at)):
        one.transport.deliver(piece)
    assert one.client.written == stream.replace(USAGE, b"")
    assert one.outcomes == [("completed", None)]


def test_a_slow_client_of_an_answer_that_has_ended_does_not_hold_back_the_connections_next_call() -> None:
    call = OneAnswer(holds_end=True)
    call.transport.deliver(answer(b"{}"))
    next_one = Recorder()
    call.connection.begin(next_one, b"", is_head_request=False)

    call.response.client_paused(True)
    assert not call.transport.is_paused
    call.transport.deliver(answer(b"[]"))
    assert next_one.body == b"[]"
