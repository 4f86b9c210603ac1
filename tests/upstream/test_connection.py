"""An answer is handed on however it is cut, and ends exactly once: in an end or in a break."""

import asyncio
from dataclasses import dataclass

import pytest
from hypothesis import given, strategies as st

from support.http_bytes import cut, spoiled
from support.receivers import MemoryTransport, Owner, Recorder
from tokenweir.upstream import UpstreamConnection
from tokenweir.wire import ResponseHeadReader, chunk

ASK = b"GET / HTTP/1.1\r\n\r\n"


def connected() -> tuple[UpstreamConnection, MemoryTransport, Owner]:
    owner = Owner()
    connection = UpstreamConnection(owner, ResponseHeadReader())
    return connection, MemoryTransport(connection), owner


def ask(connection: UpstreamConnection, recorder: Recorder | None = None, *, head: bool = False) -> Recorder:
    recorder = recorder or Recorder()
    connection.begin(recorder, ASK, is_head_request=head)
    return recorder


@dataclass(frozen=True)
class Answer:
    """What an upstream sends for one call, and what is to be made of it."""

    raw: bytes
    status: int
    body: bytes
    keeps: bool = True
    until_close: bool = False
    is_head: bool = False


_places = st.lists(st.integers(0, 500), max_size=12)


@st.composite
def answers(draw: st.DrawFn, *, last: bool = True) -> Answer:
    """Any valid answer; ``last`` ones may end the connection."""
    interim = b"".join(
        draw(
            st.lists(
                st.sampled_from([b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 \r\nLink: a\r\n\r\n"]), max_size=2
            )
        )
    )
    body = draw(st.binary(max_size=60))
    kinds = ["length", "chunked", "none"] + (["close", "1.0", "until close", "head"] if last else [])
    kind = draw(st.sampled_from(kinds))
    if kind == "none":
        status = draw(st.sampled_from([204, 304, 200]))
        line = {200: b"content-length: 0\r\n", 304: b"content-length: 99\r\n"}.get(status, b"")
        return Answer(interim + b"HTTP/1.1 %d \r\n%b\r\n" % (status, line), status, b"")
    if kind == "chunked":
        data = b"".join(map(chunk, filter(None, cut(body, [place for place in draw(_places) if place < len(body)]))))
        trailers = draw(st.sampled_from([b"", b"x-sum: 1\r\n"]))
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        return Answer(interim + head + data + b"0\r\n" + trailers + b"\r\n", 200, body)
    if kind == "until close":
        return Answer(
            interim + b"HTTP/1.1 200 OK\r\nserver: x\r\n\r\n" + body, 200, body, keeps=False, until_close=True
        )
    if kind == "head":
        return Answer(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n", 200, b"", keeps=False, is_head=True)
    version, line = {"close": (b"1.1", b"connection: close\r\n"), "1.0": (b"1.0", b"")}.get(kind, (b"1.1", b""))
    head = b"HTTP/%b 500 Oh\r\n%bcontent-length: %d\r\n\r\n" % (version, line, len(body))
    return Answer(interim + head + body, 500, body, keeps=kind == "length")


@given(st.lists(answers(last=False), max_size=4), answers(), _places)
def test_each_call_gets_its_answer_however_it_is_cut(before: list[Answer], last: Answer, places: list[int]) -> None:
    connection, transport, owner = connected()
    for number, answer in enumerate([*before, last], 1):
        recorder = ask(connection, head=answer.is_head)
        for piece in cut(answer.raw, [place for place in places if place <= len(answer.raw)]):
            assert not recorder.is_over or not piece
            transport.deliver(piece)
        if answer.until_close:
            assert not recorder.is_over
            transport.hang_up()
        assert (recorder.status, recorder.body, recorder.ends) == (answer.status, answer.body, 1)
        assert connection.is_closed is not answer.keeps
        assert owner.idled == number - (not answer.keeps)
        assert connection.carried == number
    transport.hang_up()
    assert owner.closings == 1


@given(answers(), st.data(), _places, st.booleans())
def test_whatever_comes_every_call_ends_exactly_once(
    answer: Answer, data: st.DataObject, places: list[int], orderly: bool
) -> None:
    raw = data.draw(spoiled(answer.raw))
    connection, transport, owner = connected()
    recorder = ask(connection, head=answer.is_head)
    for piece in cut(raw, [place for place in places if place <= len(raw)]):
        transport.deliver(piece)
    transport.hang_up(None if orderly else ConnectionResetError("reset"))
    assert recorder.ends + len(recorder.reasons) == 1
    assert owner.closings == 1
    assert connection.is_closed


@given(answers(last=False), st.binary(min_size=1, max_size=50), _places)
def test_bytes_beyond_the_end_are_not_delivered_and_end_the_connection(
    answer: Answer, extra: bytes, places: list[int]
) -> None:
    if extra[:1] in (b"\r", b"\n"):
        extra = b"H" + extra
    connection, transport, owner = connected()
    recorder = ask(connection)
    raw = answer.raw + extra
    for piece in cut(raw, [place for place in places if place <= len(raw)]):
        transport.deliver(piece)
    assert (recorder.status, recorder.body, recorder.ends) == (answer.status, answer.body, 1)
    assert connection.is_closed


@pytest.mark.parametrize(
    "extra",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nbad",
        b"HTTP/1.1 2",
        b"H",
        b"rubbish",
    ],
)
@pytest.mark.parametrize(
    "body", [b"content-length: 2\r\n\r\nok", b"transfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"]
)
def test_an_answer_smuggled_behind_the_first_never_meets_the_next_call(body: bytes, extra: bytes) -> None:
    connection, transport, owner = connected()
    recorder = ask(connection)
    transport.deliver(b"HTTP/1.1 200 OK\r\n" + body + extra)
    assert (recorder.body, recorder.ends) == (b"ok", 1)
    assert connection.is_closed and owner.idled == 0


def test_an_answer_nobody_asked_for_closes_the_connection() -> None:
    connection, transport, owner = connected()
    transport.deliver(b"HTTP/1.1 408 Too slow\r\ncontent-length: 0\r\n\r\n")
    assert connection.is_closed
    transport.hang_up()
    assert owner.closings == 1


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"SSH-2.0-OpenSSH_9\r\n\r\n", "its answer is not HTTP/1.1"),
        (b"HTTP/2 200 OK\r\n\r\n", "its answer is not HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\nbad name: x\r\n\r\n", "its answer is not HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n", "its answer is not HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n", "its answer is not HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 1_0\r\n\r\n", "its answer is not HTTP/1.1"),
        (b"HTTP/1.1 101 Switch\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", "it switched protocols"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"a" * 70_000, "too large"),
        (b"", "it closed the connection"),
        (b"HTTP/1.1 200 O", "it closed the connection"),
    ],
)
def test_what_is_no_answer_is_a_break_before_any_head(raw: bytes, reason: str) -> None:
    connection, transport, _ = connected()
    recorder = ask(connection)
    transport.deliver(raw)
    transport.hang_up()
    assert recorder.head is None
    assert len(recorder.reasons) == 1 and reason in recorder.reasons[0]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel", "it closed the connection"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n", "it closed the connection"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel", "it closed the connection"),
    ],
)
def test_death_inside_a_body_is_told_once_after_what_came(raw: bytes, reason: str) -> None:
    connection, transport, _ = connected()
    recorder = ask(connection)
    transport.deliver(raw)
    assert not recorder.is_over
    transport.hang_up()
    assert (recorder.body, recorder.reasons) == (b"hel", [reason])


def test_a_body_that_breaks_the_grammar_is_a_break() -> None:
    connection, transport, _ = connected()
    recorder = ask(connection)
    transport.deliver(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n")
    transport.deliver(b"zz\r\n")
    assert "not HTTP/1.1" in recorder.reasons[0]
    assert connection.is_closed


def test_what_came_before_the_grammar_was_broken_is_handed_on() -> None:
    for head_alone in (True, False):
        connection, transport, _ = connected()
        recorder = ask(connection)
        head, body = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"3\r\nhel\r\nzz\r\n"
        for data in (head, body) if head_alone else (head + body,):
            transport.deliver(data)
        assert recorder.body == b"hel" and "not HTTP/1.1" in recorder.reasons[0]
        assert connection.is_closed


def test_a_reset_inside_a_body_without_a_length_is_a_break_and_an_orderly_close_is_its_end() -> None:
    for error, ends in ((ConnectionResetError("reset by peer"), 0), (None, 1)):
        connection, transport, _ = connected()
        recorder = ask(connection)
        transport.deliver(b"HTTP/1.1 200 OK\r\n\r\nhel")
        transport.hang_up(error)
        assert recorder.ends == ends
        assert recorder.reasons == ([] if error is None else ["the connection broke (reset by peer)"])


def test_a_flood_of_interim_answers_is_passed_over() -> None:
    connection, transport, _ = connected()
    recorder = ask(connection)
    transport.deliver(b"HTTP/1.1 100 \r\n\r\n" * 5000 + b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
    assert (recorder.status, recorder.body, recorder.ends) == (200, b"ok", 1)


def test_what_one_read_brought_is_handed_on_in_one_call() -> None:
    connection, transport, _ = connected()
    recorder = ask(connection)
    transport.deliver(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunk(b"a") + chunk(b"b") + chunk(b"c")
    )
    assert (recorder.body, recorder.pieces) == (b"abc", 1)


# --- the receiver acts while it is told ---


def test_a_receiver_may_hand_over_to_another_at_the_head() -> None:
    connection, transport, _ = connected()
    second = Recorder()

    def hand_over() -> None:
        second.head = first.head
        connection.receiver = second

    first = ask(connection, Recorder(on_head=hand_over))
    transport.deliver(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
    assert (first.body, first.ends) == (b"", 0)
    assert (second.body, second.ends) == (b"ok", 1)


@pytest.mark.parametrize("rest", [b"", b"ok", b"okHTTP/1.1"])
def test_whoever_abandons_a_call_is_told_nothing_more(rest: bytes) -> None:
    connection, transport, owner = connected()
    recorder = ask(connection, Recorder(on_head=connection.abandon))
    transport.deliver(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n" + rest)
    transport.hang_up()
    assert recorder.head is not None
    assert (recorder.body, recorder.is_over, owner.idled, owner.closings) == (b"", False, 0, 1)


def test_abandoned_before_the_head_nobody_is_told() -> None:
    connection, transport, owner = connected()
    recorder = ask(connection)
    connection.abandon()
    transport.hang_up()
    assert not recorder.is_over and owner.closings == 1


def test_the_next_call_may_begin_while_the_end_is_told() -> None:
    connection, transport, _ = connected()
    second = Recorder()
    first = ask(connection, Recorder(on_end=lambda: connection.begin(second, ASK, is_head_request=False)))
    for body in (b"1", b"2"):
        transport.deliver(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n" + body)
    assert (first.body, first.ends, second.body, second.ends) == (b"1", 1, b"2", 1)


# --- both directions hold back ---


def test_a_paused_connection_delivers_nothing() -> None:
    connection, transport, _ = connected()
    recorder = ask(connection, Recorder(on_head=connection.pause_reading))
    transport.deliver(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n")
    transport.deliver(b"ok")
    assert recorder.body == b""
    connection.resume_reading()
    assert (recorder.body, recorder.ends) == (b"ok", 1)


def test_a_pause_ends_with_its_call() -> None:
    connection, transport, owner = connected()
    ask(connection, Recorder(on_head=connection.pause_reading))
    transport.deliver(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
    assert owner.idled == 1 and not transport.is_paused
    second = ask(connection)
    transport.deliver(b"HTTP/1.1 204 \r\n\r\n")
    assert second.status == 204


def test_whoever_had_the_last_call_cannot_pause_the_connection_for_the_next() -> None:
    connection, transport, _ = connected()
    ask(connection, Recorder(on_end=connection.pause_reading))
    transport.deliver(b"HTTP/1.1 204 \r\n\r\n")
    assert not transport.is_paused


def test_the_receiver_is_told_when_the_upstream_takes_no_more() -> None:
    connection, _, _ = connected()
    connection.pause_writing()
    connection.resume_writing()
    recorder = ask(connection)
    connection.pause_writing()
    connection.resume_writing()
    assert recorder.uploads == [True, False]


@pytest.mark.anyio
async def test_after_a_large_piece_of_an_answer_others_have_their_turn() -> None:
    connection, transport, owner = connected()
    recorder = ask(connection)
    transport.deliver(b"HTTP/1.1 200 OK\r\ncontent-length: 400000\r\n\r\n" + b"x" * 200_000)
    assert transport.is_paused
    await asyncio.sleep(0)
    assert not transport.is_paused
    transport.deliver(b"x" * 150_000)
    connection.pause_reading()
    await asyncio.sleep(0)
    assert transport.is_paused
    connection.resume_reading()
    transport.deliver(b"x" * 50_000)
    assert (recorder.ends, owner.idled, transport.is_paused) == (1, 1, False)


def test_a_large_request_goes_into_the_transport_as_it_takes_it() -> None:
    connection, transport, owner = connected()
    recorder = ask(connection)
    before = len(transport.written)
    connection.pause_writing()
    for piece in (b"1", b"2", b"3"):
        connection.write(piece)
    assert transport.written[before:] == b""
    transport.on_write = connection.pause_writing
    connection.resume_writing()
    assert transport.written[before:] == b"1"
    transport.on_write = lambda: None
    connection.resume_writing()
    assert transport.written[before:] == b"123"
    assert recorder.uploads == [True, False]
    connection.pause_writing()
    connection.write(b"4")
    transport.deliver(b"HTTP/1.1 413 Too large\r\ncontent-length: 0\r\n\r\n")
    assert (recorder.ends, owner.idled, transport.is_closing()) == (1, 0, True)


def test_an_answer_before_the_request_was_sent_whole_ends_the_connection() -> None:
    connection, transport, owner = connected()
    recorder = ask(connection)
    connection.is_uploading = True
    transport.deliver(b"HTTP/1.1 413 Too large\r\ncontent-length: 0\r\n\r\n")
    assert recorder.ends == 1
    assert connection.is_closed and owner.idled == 0


def test_an_upload_that_is_whole_leaves_the_connection_usable() -> None:
    connection, transport, owner = connected()
    ask(connection)
    connection.is_uploading = True
    connection.write(b"body")
    connection.is_uploading = False
    transport.deliver(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    assert transport.written == ASK + b"body"
    assert owner.idled == 1


def test_whether_an_answer_has_begun_is_known_for_each_call() -> None:
    connection, transport, _ = connected()
    ask(connection)
    assert not connection.answered
    transport.deliver(b"H")
    assert connection.answered
    transport.deliver(b"TTP/1.1 204 \r\n\r\n")
    ask(connection)
    assert not connection.answered


def test_its_state_can_be_seen() -> None:
    connection, transport, _ = connected()
    assert repr(connection) == "<UpstreamConnection idle, 0 calls>"
    ask(connection)
    assert repr(connection) == "<UpstreamConnection busy, 1 calls>"
    connection.close()
    transport.hang_up()
    assert repr(connection) == "<UpstreamConnection closed, 1 calls>"
    connection.pause_reading()
    connection.resume_reading()
    connection.close()
    connection.abandon()
