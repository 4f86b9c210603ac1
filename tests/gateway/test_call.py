"""A call without sockets, through every cell of its table of transitions: the possible ones as they happen, and the
impossible ones."""

import asyncio
import gc
import logging
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from support.clocks import JumpingClock
from support.receivers import MemoryTransport
from support.streams import DONE, STREAM_HEAD, USAGE, answer, chunked, frame
from tokenweir.deployments import Catalogue, Target
from tokenweir.errors import InvalidApiKey, JournalError, RequestTimeout
from tokenweir.gateway import DataPlane, ServerSettings, Tracing
from tokenweir.gateway.admit import LimitRule
from tokenweir.gateway.call import Call
from tokenweir.gateway.dispatch import Dispatcher
from tokenweir.gateway.estimator import Estimator
from tokenweir.gateway.head_cache import HeadCache
from tokenweir.gateway.phases import CELLS, IGNORED, Event, Phase
from tokenweir.gateway.request import Client, Ending, Request
from tokenweir.gateway.response import Response
from tokenweir.limits import AdmissionSettings, Ask, Calendar, Grant, Held, Limit, Limiter, Return
from tokenweir.policy import CallerSettings, Keyring, TracingSettings, hash_key
from tokenweir.records import CallRecord, Usage
from tokenweir.upstream import CredentialSettings, Upstream, UpstreamConnection, UpstreamSettings, open_upstreams
from tokenweir.wire import RequestHead, read_request_head

KEY = "tw-test-key"
BODY = b'{"model":"gpt-4o","messages":[],"stream":true}'
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n"
HALF_AN_ANSWER = STREAM_HEAD + chunked(frame("one"))
"""Ends before its usage, so that it has to be estimated."""


class ReaderOfAll(Client):
    """A client that takes everything, and remembers how it ended."""

    def __init__(self) -> None:
        super().__init__("192.0.2.7")
        self.status = ""
        self.written = b""
        self.ends: list[str] = []

    def respond(self, line: bytes, lines: bytes, *, length: int | None, has_body: bool, is_followed: bool) -> None:
        assert not self.status and not self.ends
        self.status = line.decode()

    def write(self, data: bytes) -> None:
        assert not self.ends
        self.written += data

    def write_chunk(self, data: bytes, chunk: bytes) -> None:
        assert chunk == b"%x\r\n%b\r\n" % (len(data), data)
        self.write(data)

    def finish(self) -> None:
        self.ends.append("finished")

    def break_off(self) -> None:
        self.ends.append("broken off")

    def switch(self, line: bytes, lines: bytes, protocol: asyncio.BaseProtocol) -> tuple[asyncio.Transport, bytes]:
        self.status = line.decode()
        return MemoryTransport(protocol), b""


class PatientLog:
    """A journal that keeps records in memory, and becomes durable when it is told to."""

    replica = "here"
    accepts_calls = True

    def __init__(self) -> None:
        self.records: list[CallRecord] = []
        self.waiting: list[Callable[[], None]] = []
        self.loses = False

    def next_seq(self) -> int:
        return len(self.records) + 1

    def append(self, record: CallRecord, on_durable: Callable[[], None] | None = None) -> None:
        if self.loses:
            raise JournalError("no space left on device")
        self.records.append(record)
        if on_durable is not None:
            self.waiting.append(on_durable)


class PatientEstimator(Estimator):
    """Counts when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Callable[[Usage], None]] = []

    def estimate(
        self,
        request: Request,
        ending: Ending,
        target: Target | None,
        upstream: Upstream | None,
        then: Callable[[Usage], None],
    ) -> None:
        self.waiting.append(then)

    def count(self) -> None:
        for then in self.waiting:
            then(Usage(source="estimated", output_tokens=3, total_tokens=3))


class PatientHolder:
    """Answers when it is told to."""

    truth = 0

    def __init__(self) -> None:
        self.waiting: list[tuple[int, Callable[[Sequence[Grant] | None], None]]] = []
        self.held: Sequence[Held] = ()

    def ask(
        self,
        asks: Sequence[Ask],
        returns: Sequence[Return],
        held: Sequence[Held],
        on_answer: Callable[[Sequence[Grant] | None], None],
    ) -> None:
        self.waiting.append((len(asks), on_answer))
        self.held = held

    def answer(self, units: int) -> None:
        waiting, self.waiting = self.waiting, []
        for count, on_answer in waiting:
            on_answer([Grant(units, 0, units, 1.0, 1.0)] * count)

    def is_away(self) -> None:
        for _, on_answer in self.waiting:
            on_answer(None)


SHARED = [Limit("all", "concurrent_calls", 5)]


class World:
    """A data plane with one upstream in memory, to which one connection stands."""

    def __init__(
        self, *, is_strict: bool = False, limits: Sequence[Limit] = (), shared: Sequence[Limit] = (), **server: Any
    ) -> None:
        self.clock = JumpingClock()
        self.holder = PatientHolder()
        self.log = PatientLog()
        self.estimator = PatientEstimator()
        upstreams = open_upstreams(
            [UpstreamSettings("up", "http://192.0.2.1", CredentialSettings(key="k"))], {}, self.clock
        )
        pool = upstreams["up"].pool
        self.connection = UpstreamConnection(pool, pool._heads)
        self.upstream = MemoryTransport(self.connection)
        pool._open.add(self.connection)
        pool.idle(self.connection)
        tracing = Tracing(TracingSettings(), "secret", self.clock)
        self.data_plane = DataPlane(
            ServerSettings(**server),
            self.log,
            self.clock,
            tracing,
            Keyring([CallerSettings("team-a", hash_key(KEY))], []),
            Catalogue([], {"up": "azure"}, self.clock),
            upstreams,
            self.rule(limits, shared),
            is_strict=is_strict,
            keeps_content=False,
        )
        self.data_plane.services.estimator = self.estimator
        self.client = ReaderOfAll()
        self.call: Call = self.data_plane.new_call(self.client, HeadCache())

    def head(self, *lines: str, key: str = KEY, length: int = len(BODY), kind: str = "application/json") -> RequestHead:
        path = "/openai/deployments/gpt-4o/chat/completions" if kind == "application/json" else "/openai/v1/files"
        told = [f"POST {path} HTTP/1.1", "Host: here", f"api-key: {key}", f"Content-Type: {kind}"]
        return read_request_head("\r\n".join([*told, f"Content-Length: {length}", *lines]).encode())

    def ask_for_socket(self) -> "World":
        lines = ["GET /openai/v1/realtime?model=gpt-realtime HTTP/1.1", "Host: here", f"api-key: {KEY}"]
        lines += ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="]
        self.call.serve(read_request_head("\r\n".join(lines).encode()), b"")
        assert self.call.phase is Phase.DISPATCHING
        return self

    def to(self, phase: Phase) -> "World":
        """Brings the call there as it gets there in life."""
        call = self.call
        if phase is Phase.RECEIVING:
            call.begin(self.head())
        elif phase is Phase.REFUSING:
            call.begin(self.head(key="wrong"))
        elif phase is Phase.DISPATCHING or phase is Phase.ADMITTING:
            call.serve(self.head(), BODY)
        elif phase is Phase.RESPONDING:
            self.to(Phase.DISPATCHING).upstream.deliver(HALF_AN_ANSWER)
        elif phase is Phase.DRAINING:
            self.to(Phase.RESPONDING).call.client_gone()
        elif phase is Phase.RELAYING:
            self.ask_for_socket().upstream.deliver(SWITCHED)
        elif phase is Phase.SETTLING:
            self.to(Phase.RESPONDING).upstream.deliver(b"0\r\n\r\n")
        elif phase is Phase.COMMITTING:
            self.to(Phase.SETTLING).estimator.count()
        elif phase is Phase.DONE:
            self.to(Phase.DISPATCHING).upstream.deliver(answer(b"{}", status="404 Not Found"))
        assert call.phase is phase
        return self

    def send(self, body: bytes) -> None:
        self.call.body_received(body)
        self.call.body_ended()

    def rule(self, limits: Sequence[Limit], shared: Sequence[Limit]) -> LimitRule | None:
        settings = AdmissionSettings(output_tokens=1)
        if shared:
            return LimitRule(Limiter(shared, Calendar(), shares=True), settings, self.clock, self.holder)
        return LimitRule(Limiter(limits, Calendar()), settings, self.clock) if limits else None

    def overrun(self) -> None:
        """Others use all that is left, and the answer goes on."""
        limits = self.data_plane.services.limits
        assert limits is not None
        limiter, moment = limits.limiter, self.clock.now().timestamp()
        limiter.settle(limiter.admit("x", (), "", "", "", 1, 0, 0.0, moment), 5000, 0.0, has_run=True)
        self.upstream.deliver(chunked(frame("two"), frame("three")))
        self.wait(0)

    def wait(self, seconds: float) -> None:
        """The sweeper looks every second; what lasts is seen at the second look."""
        self.call.tick(self.clock.monotonic())
        self.clock.jump(seconds)
        self.call.tick(self.clock.monotonic())


DRAIN: dict[str, Any] = {"on_client_gone": "drain"}
STRICT: dict[str, Any] = {"is_strict": True}


def drained_before_an_answer() -> World:
    world = World(**DRAIN).to(Phase.DISPATCHING)
    world.call.client_gone()
    assert world.call.phase is Phase.DRAINING
    return world


def upload_with_an_answer() -> World:
    world = World()
    world.call.begin(world.head(kind="multipart/form-data", length=9))
    world.upstream.deliver(HALF_AN_ANSWER)
    assert world.call.phase is Phase.RESPONDING
    return world


def preflight(world: World) -> None:
    lines = ["OPTIONS /v1/models HTTP/1.1", "Host: here", "Origin: https://a", "Access-Control-Request-Method: GET"]
    world.call.serve(read_request_head("\r\n".join(lines).encode()), b"")


# What happens in each cell, and to whom. Every cell of the table is here, or the first test fails.
AT: dict[tuple[Phase, Event], tuple[Callable[[], World], Callable[[World], Any]]] = {
    (Phase.NEW, Event.HEAD): (World, lambda w: w.call.begin(w.head())),
    (Phase.NEW, Event.UPLOAD_HEAD): (World, lambda w: w.call.begin(w.head(kind="multipart/form-data", length=9))),
    (Phase.NEW, Event.PREFLIGHT): (lambda: World(cors_origins=["*"]), preflight),
    (Phase.NEW, Event.REFUSAL_BEFORE_BODY): (World, lambda w: w.call.begin(w.head(key="wrong"))),
    (Phase.NEW, Event.REFUSAL): (World, lambda w: w.call.refuse(RequestTimeout("its head never came"))),
    (Phase.RECEIVING, Event.REFUSAL_BEFORE_BODY): (
        lambda: World().to(Phase.RECEIVING),
        lambda w: w.call.refuse(InvalidApiKey("its key was revoked")),
    ),
    (Phase.RECEIVING, Event.REFUSAL): (
        lambda: World().to(Phase.RECEIVING),
        lambda w: w.send(b"[" * len(BODY)),
    ),
    (Phase.RECEIVING, Event.BODY_READ): (
        lambda: World().to(Phase.RECEIVING),
        lambda w: w.send(BODY),
    ),
    (Phase.RECEIVING, Event.CLIENT_GONE): (lambda: World().to(Phase.RECEIVING), lambda w: w.call.client_gone()),
    (Phase.RECEIVING, Event.SHUTDOWN): (lambda: World().to(Phase.RECEIVING), lambda w: w.call.abort()),
    (Phase.REFUSING, Event.REFUSAL_BEFORE_BODY): (
        lambda: World().to(Phase.REFUSING),
        lambda w: w.call.refuse(InvalidApiKey("and once more")),
    ),
    (Phase.REFUSING, Event.REFUSAL): (
        lambda: World().to(Phase.REFUSING),
        lambda w: w.send(BODY),
    ),
    (Phase.REFUSING, Event.CLIENT_GONE): (lambda: World().to(Phase.REFUSING), lambda w: w.call.client_gone()),
    (Phase.REFUSING, Event.TIME_LIMIT): (lambda: World().to(Phase.REFUSING), lambda w: w.wait(3600)),
    (Phase.REFUSING, Event.SHUTDOWN): (lambda: World().to(Phase.REFUSING), lambda w: w.call.abort()),
    (Phase.NEW, Event.SLICE_EMPTY): (
        lambda: World(shared=SHARED),
        lambda w: w.call.begin(w.head(kind="multipart/form-data", length=9)),
    ),
    (Phase.RECEIVING, Event.SLICE_EMPTY): (
        lambda: World(shared=SHARED).to(Phase.RECEIVING),
        lambda w: w.send(BODY),
    ),
    (Phase.ADMITTING, Event.ADMITTED): (
        lambda: World(shared=SHARED).to(Phase.ADMITTING),
        lambda w: w.holder.answer(1),
    ),
    (Phase.ADMITTING, Event.REFUSAL): (
        lambda: World(shared=SHARED).to(Phase.ADMITTING),
        lambda w: w.holder.answer(0),
    ),
    (Phase.ADMITTING, Event.CLIENT_GONE): (
        lambda: World(shared=SHARED).to(Phase.ADMITTING),
        lambda w: w.call.client_gone(),
    ),
    (Phase.ADMITTING, Event.SHUTDOWN): (
        lambda: World(shared=SHARED).to(Phase.ADMITTING),
        lambda w: w.call.abort(),
    ),
    (Phase.DISPATCHING, Event.REFUSAL): (lambda: World().to(Phase.DISPATCHING), lambda w: w.upstream.hang_up()),
    (Phase.DISPATCHING, Event.CLIENT_GONE): (lambda: World().to(Phase.DISPATCHING), lambda w: w.call.client_gone()),
    (Phase.DISPATCHING, Event.CLIENT_GONE_DRAINED): (
        lambda: World(**DRAIN).to(Phase.DISPATCHING),
        lambda w: w.call.client_gone(),
    ),
    (Phase.DISPATCHING, Event.ANSWER_HEAD): (
        lambda: World().to(Phase.DISPATCHING),
        lambda w: w.upstream.deliver(HALF_AN_ANSWER),
    ),
    (Phase.DISPATCHING, Event.SWITCHED): (
        lambda: World().ask_for_socket(),
        lambda w: w.upstream.deliver(SWITCHED),
    ),
    (Phase.DISPATCHING, Event.TIME_LIMIT): (lambda: World().to(Phase.DISPATCHING), lambda w: w.wait(3600)),
    (Phase.DISPATCHING, Event.SHUTDOWN): (lambda: World().to(Phase.DISPATCHING), lambda w: w.call.abort()),
    (Phase.RESPONDING, Event.REFUSAL): (upload_with_an_answer, lambda w: w.call.refuse(RequestTimeout("too slow"))),
    (Phase.RESPONDING, Event.CLIENT_GONE): (lambda: World().to(Phase.RESPONDING), lambda w: w.call.client_gone()),
    (Phase.RESPONDING, Event.CLIENT_GONE_DRAINED): (
        lambda: World(**DRAIN).to(Phase.RESPONDING),
        lambda w: w.call.client_gone(),
    ),
    (Phase.RESPONDING, Event.ANSWER_END): (
        lambda: World().to(Phase.RESPONDING),
        lambda w: w.upstream.deliver(chunked(USAGE + DONE) + b"0\r\n\r\n"),
    ),
    (Phase.RESPONDING, Event.TIME_LIMIT): (lambda: World().to(Phase.RESPONDING), lambda w: w.wait(3600)),
    (Phase.RESPONDING, Event.OVERRUN): (
        lambda: World(limits=[Limit("all", "tokens_per_day", 5000, ends_overrun=True)]).to(Phase.RESPONDING),
        lambda w: w.overrun(),
    ),
    (Phase.RESPONDING, Event.SHUTDOWN): (lambda: World().to(Phase.RESPONDING), lambda w: w.call.abort()),
    (Phase.DRAINING, Event.REFUSAL): (drained_before_an_answer, lambda w: w.upstream.hang_up()),
    (Phase.DRAINING, Event.ANSWER_HEAD): (drained_before_an_answer, lambda w: w.upstream.deliver(HALF_AN_ANSWER)),
    (Phase.DRAINING, Event.ANSWER_END): (
        lambda: World(**DRAIN).to(Phase.DRAINING),
        lambda w: w.upstream.deliver(chunked(USAGE + DONE) + b"0\r\n\r\n"),
    ),
    (Phase.DRAINING, Event.TIME_LIMIT): (lambda: World(**DRAIN).to(Phase.DRAINING), lambda w: w.wait(3600)),
    (Phase.DRAINING, Event.SHUTDOWN): (lambda: World(**DRAIN).to(Phase.DRAINING), lambda w: w.call.abort()),
    (Phase.RELAYING, Event.SOCKET_END): (lambda: World().to(Phase.RELAYING), lambda w: w.upstream.hang_up()),
    (Phase.RELAYING, Event.TIME_LIMIT): (lambda: World().to(Phase.RELAYING), lambda w: w.wait(3601)),
    (Phase.RELAYING, Event.SHUTDOWN): (lambda: World().to(Phase.RELAYING), lambda w: w.call.abort()),
    (Phase.SETTLING, Event.RECORDED): (lambda: World().to(Phase.SETTLING), lambda w: w.estimator.count()),
    (Phase.SETTLING, Event.RECORDED_STRICT): (
        lambda: World(**STRICT).to(Phase.SETTLING),
        lambda w: w.estimator.count(),
    ),
    (Phase.SETTLING, Event.NOT_DURABLE): (lambda: World(**STRICT).to(Phase.SETTLING), lambda w: w.wait(31)),
    (Phase.COMMITTING, Event.DURABLE): (lambda: World(**STRICT).to(Phase.COMMITTING), lambda w: w.log.waiting[0]()),
    (Phase.COMMITTING, Event.NOT_DURABLE): (lambda: World(**STRICT).to(Phase.COMMITTING), lambda w: w.wait(31)),
}


def name(cell: tuple[Phase, Event]) -> str:
    return f"{cell[0].name}-{cell[1].name}".lower()


def test_every_cell_of_the_table_is_walked() -> None:
    assert AT.keys() == CELLS.keys()


@pytest.mark.parametrize("cell", CELLS, ids=name)
def test_what_the_table_says_is_what_happens(cell: tuple[Phase, Event]) -> None:
    begin, happens = AT[cell]
    world = begin()
    assert world.call.phase is cell[0]
    happens(world)

    following = CELLS[cell]
    ends = following.next is Phase.SETTLING and cell[0] < Phase.SETTLING
    assert world.call.phase is following.next or (ends and world.call.phase is Phase.DONE)
    world.estimator.count()
    if ends:
        (record,) = world.log.records
        assert f"`{record.outcome}`" in following.record
        assert not world.data_plane.calls
        assert len(world.client.ends) == (record.outcome != "client_gone")
    elif following.record == "no record":
        assert (world.log.records, world.client.status) == ([], "204 No Content")


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("event", Event)
def test_what_cannot_happen_changes_nothing_and_what_comes_too_late_is_not_even_logged(
    phase: Phase, event: Event, caplog: pytest.LogCaptureFixture
) -> None:
    call = World().call
    call.phase = phase
    with caplog.at_level(logging.ERROR):
        assert call._enters(event) is ((phase, event) in CELLS)
    if (phase, event) in CELLS:
        assert call.phase is CELLS[phase, event].next
    else:
        assert call.phase is phase
    is_impossible = (phase, event) not in CELLS and (phase, event) not in IGNORED
    assert [record.levelname for record in caplog.records] == ["ERROR"] * is_impossible


def test_a_call_that_left_while_it_waited_leaves_nothing_reserved_when_the_answer_comes() -> None:
    world = World(shared=SHARED).to(Phase.ADMITTING)
    world.call.client_gone()
    world.holder.answer(1)
    limits = world.data_plane.services.limits
    assert limits is not None
    assert limits.limiter.counts.open == 0
    world.data_plane.sweep()
    assert world.holder.held == [Held("all concurrent_calls", 0)]


def test_without_the_holder_a_call_is_answered_503() -> None:
    world = World(shared=SHARED).to(Phase.ADMITTING)
    world.holder.is_away()
    (record,) = world.log.records
    assert (record.status, record.error_code, record.outcome) == (503, "limits_unavailable", "refused")


def test_what_a_call_waits_for_the_holder_is_no_time_of_the_gateway() -> None:
    world = World(shared=SHARED).to(Phase.ADMITTING)
    world.clock.jump(0.25)
    world.holder.answer(1)
    world.upstream.deliver(answer(b"{}", status="404 Not Found"))
    (record,) = world.log.records
    assert (record.gateway_ms, record.latency_ms) == (0.0, 250.0)


@pytest.mark.parametrize("late", ["client_gone", "abort"])
@pytest.mark.parametrize("phase", [Phase.SETTLING, Phase.DONE])
def test_what_comes_after_the_end_makes_no_second_record(phase: Phase, late: str) -> None:
    world = World().to(phase)
    getattr(world.call, late)()
    world.estimator.count()
    assert len(world.log.records) == 1


def test_an_error_that_was_read_before_it_was_passed_on_is_passed_on_whole() -> None:
    world = World().to(Phase.DISPATCHING)
    head = b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    for piece in (head, chunked(b'{"error":{"message":'), chunked(b'"no"}}'), b"0\r\n\r\n"):
        world.upstream.deliver(piece)
    assert world.client.written == b'{"error":{"message":"no"}}'
    assert world.client.ends == ["finished"]


def test_an_answer_whose_record_the_journal_lost_has_no_end_in_strict_durability() -> None:
    world = World(**STRICT).to(Phase.SETTLING)
    world.log.loses = True
    world.estimator.count()
    assert world.call.phase is Phase.DONE
    assert world.client.ends == ["broken off"]
    assert not world.data_plane.calls


def test_a_call_that_has_ended_is_freed_without_the_garbage_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        for phase in (Phase.DONE, Phase.REFUSING):
            world = World().to(phase)
            world.call.abort()
            del world.call
            assert [one for one in gc.get_objects() if isinstance(one, Call | Dispatcher | Response)] == []
    finally:
        gc.enable()
