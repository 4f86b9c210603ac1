"""What is read of a WebSocket's messages, however they are cut, packed or written."""

import zlib
from typing import Any

import msgspec
from hypothesis import given, settings, strategies as st

from support.http_bytes import cut, cuts
from support.websocket_frames import CONTINUATION, TEXT, event_frame, frame
from tokenweir.apis import surface_of
from tokenweir.metering import RequestMessages, SaidMessages, SocketMeter, UsedOnSocket
from tokenweir.records import Quantity
from tokenweir.wire import FrameReader

MASK = b"\x01\x80\x7f\xfe"
USAGE = {"total_tokens": 12, "input_tokens": 7, "output_tokens": 5, "output_token_details": {"audio_tokens": 4}}
TEXT_USAGE = {"input_tokens": 9, "output_tokens": 4, "total_tokens": 13}


class Books:
    """Remembers what was used."""

    def __init__(self) -> None:
        self.entries: list[UsedOnSocket] = []

    def used(self, used: UsedOnSocket) -> None:
        self.entries.append(used)

    @property
    def told(self) -> list[tuple[str | None, int | None]]:
        """The id and the total of each."""
        return [
            (entry.measurement.response_id, entry.measurement.usage.total_tokens if entry.measurement.usage else None)
            for entry in self.entries
        ]


class Socket:
    """Both sides of one, as the gateway follows them."""

    def __init__(self, api: str = "realtime", *, unpacks: bool = False, keeps: bool = False) -> None:
        self.books = Books()
        self.now = 0.0
        self.requests = RequestMessages(self.monotonic, unpacks) if api == "responses" else None
        said = SaidMessages(unpacks) if keeps and self.requests is None else None
        self.meter = SocketMeter(
            surface_of(api),
            self.books,
            self.requests,
            said,
            unpacks=unpacks,
            keep_content=keeps,
            monotonic=self.monotonic,
        )
        self.up, self.down = FrameReader(self.requests or said), FrameReader(self.meter)

    def monotonic(self) -> float:
        self.now += 1.0
        return self.now


def packed(deflater: Any, payload: bytes) -> bytes:
    data: bytes = deflater.compress(payload) + deflater.flush(zlib.Z_SYNC_FLUSH)
    return data.removesuffix(b"\x00\x00\xff\xff")


def event(**members: Any) -> bytes:
    return msgspec.json.encode(members)


def done(name: str, **more: Any) -> bytes:
    return event(type="response.done", response={"id": name, "status": "completed", "usage": USAGE, **more})


@given(st.data())
def test_any_cut_and_any_fragments_give_the_same_usage(data: st.DataObject) -> None:
    sent = b""
    for name in ("r1", "r2", "r3"):
        parts = cut(done(name), data.draw(cuts(done(name))))
        for at, part in enumerate(parts):
            sent += frame(CONTINUATION if at else TEXT, part, fin=at == len(parts) - 1)
        sent += event_frame(type="response.output_audio.delta", delta="A" * 500)
    socket = Socket()
    for piece in cut(sent, data.draw(cuts(sent))):
        socket.down.feed(piece)
    assert socket.books.told == [("r1", 12), ("r2", 12), ("r3", 12)]


def test_the_type_may_stand_anywhere_and_be_written_in_any_way() -> None:
    spellings = [
        b' {"type" : "response.done", "response":{"id":"r1","usage":%b}}' % msgspec.json.encode(USAGE),
        b'{"response":{"type":"x","id":"r2","usage":%b},"type":"response.done"}' % msgspec.json.encode(USAGE),
        b'{"ty\\u0070e":"response.done","response":{"id":"r3","usage":%b}}' % msgspec.json.encode(USAGE),
        b'{"event_id":"e\\"1","type":"response.done","response":{"id":"r4","usage":%b}}' % msgspec.json.encode(USAGE),
    ]
    socket = Socket()
    for spelling in spellings:
        socket.down.feed(frame(TEXT, spelling))
    assert socket.books.told == [("r1", 12), ("r2", 12), ("r3", 12), ("r4", 12)]


def test_an_event_of_megabytes_is_read_without_being_held() -> None:
    output = [{"type": "message", "content": [{"type": "audio", "transcript": "long " * 400_000}]}]
    sent = frame(TEXT, done("r1", output=output)) + frame(TEXT, done("r2"))
    socket = Socket()
    for at in range(0, len(sent), 65_536):
        socket.down.feed(sent[at : at + 65_536])
        assert sum(map(len, socket.meter._pieces)) <= 512 * 1024
    assert socket.books.told == [("r1", 12), ("r2", 12)]


@settings(max_examples=40)
@given(st.data())
def test_packed_messages_are_read_from_a_copy(data: st.DataObject) -> None:
    deflater = zlib.compressobj(wbits=-15)
    sent = b""
    for at, plain in enumerate(
        [event(type="session.created", session={"id": "s"}), done("r1"), b"x" * 3000, done("r2")]
    ):
        whole = packed(deflater, plain)
        parts = cut(whole, data.draw(cuts(whole))) if at == 3 else [whole]
        for number, part in enumerate(parts):
            opcode, last = CONTINUATION if number else TEXT, number == len(parts) - 1
            sent += frame(opcode, part, fin=last, rsv1=number == 0)
    socket = Socket(unpacks=True)
    for piece in cut(sent, data.draw(cuts(sent))):
        socket.down.feed(piece)
    assert socket.books.told == [("r1", 12), ("r2", 12)]
    assert socket.meter.session_id == "s"


def test_a_sender_may_begin_each_message_anew_and_end_a_block() -> None:
    socket = Socket(unpacks=True)
    for name in ("r1", "r2"):
        deflater = zlib.compressobj(wbits=-9)
        socket.down.feed(frame(TEXT, packed(deflater, done(name)), rsv1=True))
    deflater = zlib.compressobj(wbits=-15)
    socket.down.feed(frame(TEXT, deflater.compress(done("r3")) + deflater.flush(zlib.Z_FINISH) + b"\0", rsv1=True))
    socket.down.feed(frame(TEXT, packed(zlib.compressobj(wbits=-15), done("r4")), rsv1=True))
    assert [name for name, _ in socket.books.told] == ["r1", "r2", "r3", "r4"]


def test_a_message_that_unpacks_to_more_than_is_read_ends_the_reading_and_the_record_says_so() -> None:
    socket = Socket(unpacks=True)
    deflater = zlib.compressobj(wbits=-15)
    socket.down.feed(frame(TEXT, packed(deflater, b" " * 20_000_000), rsv1=True) + frame(TEXT, done("r1"), rsv1=True))
    session = socket.meter.session()
    assert (session.reason, session.unreadable) == ("unreadable", "a packed message is too long to be unpacked")
    assert socket.books.told == []


def test_what_is_packed_though_nobody_agreed_to_it_is_not_read() -> None:
    socket = Socket()
    socket.down.feed(frame(TEXT, b"\x01\x02", rsv1=True) + frame(TEXT, done("r1")))
    assert socket.meter.session().reason == "unreadable"
    assert socket.books.told == [("r1", 12)]


def test_the_seconds_of_a_live_session_are_the_last_sum_and_work_handed_on_is_apart() -> None:
    socket = Socket()
    response = {
        "id": "resp_9",
        "model": "gpt-5.6",
        "service_tier": "priority",
        "usage": TEXT_USAGE,
        "status": "completed",
    }
    for told in (
        {"type": "session.started", "session": {"id": "live_1", "model": "gpt-live-1"}},
        {"type": "session.usage.updated", "usage": {"seconds": 60}},
        {"type": "response.event", "event": {"type": "response.created", "response": {"id": "resp_9"}}},
        {"type": "response.event", "event": {"type": "response.completed", "response": response}},
        {"type": "decision.event", "event": {"type": "decision.completed", "decision": {"model": "m", "usage": USAGE}}},
        {"type": "session.usage.updated", "usage": {"seconds": 121}},
        {"type": "session.closed", "usage": {"seconds": 130}, "session": {"id": "live_1", "model": "gpt-live-1"}},
    ):
        socket.down.feed(event_frame(**told))
    assert socket.books.told == [("resp_9", 13), (None, 12)]
    first = socket.books.entries[0].measurement
    assert (first.response_model, first.service_tier, first.session_id) == ("gpt-5.6", "priority", "live_1")
    usage = socket.meter.session().usage
    assert usage is not None and usage.source == "reported"
    assert usage.quantities == {"session_seconds": Quantity(130)}


def create(**members: Any) -> bytes:
    return event_frame(MASK, type="response.create", **members)


def test_each_response_of_the_responses_api_is_metered_as_a_stream() -> None:
    socket = Socket("responses")
    socket.up.feed(create(model="gpt-5", input="Say hello", service_tier="flex"))
    for told in (
        {"type": "response.created", "response": {"id": "resp_1", "model": "gpt-5", "status": "in_progress"}},
        {"type": "response.output_text.delta", "delta": "hello"},
        {"type": "response.output_item.done", "item": {"type": "web_search_call", "status": "completed"}},
        {
            "type": "response.completed",
            "response": {"id": "resp_1", "model": "gpt-5", "status": "completed", "usage": TEXT_USAGE},
        },
    ):
        socket.down.feed(event_frame(**told))
    (entry,) = socket.books.entries
    measured = entry.measurement
    assert measured.usage is not None and measured.usage.total_tokens == 13
    assert (measured.response_id, measured.finish_reasons, measured.tool_calls) == (
        "resp_1",
        ["stop"],
        {"web_search_call": 1},
    )
    assert (entry.began, entry.first_output, entry.status) == (1.0, 2.0, None)
    assert msgspec.json.decode(entry.request)["input"] == "Say hello"


def test_a_request_that_is_refused_has_its_record_and_an_error_of_the_socket_has_none() -> None:
    socket = Socket("responses")
    error = {"type": "error", "status": 400, "error": {"code": "previous_response_not_found", "message": "no"}}
    socket.down.feed(event_frame(type="error", status=400, error={"code": "websocket_connection_limit_reached"}))
    socket.up.feed(create(model="gpt-5", input="x", previous_response_id="resp_0"))
    socket.down.feed(event_frame(**error))
    (entry,) = socket.books.entries
    assert (entry.status, entry.measurement.error_code, entry.measurement.usage) == (
        400,
        "previous_response_not_found",
        None,
    )


def test_what_was_said_until_a_cut_is_kept_for_an_estimate() -> None:
    socket = Socket("responses")
    socket.up.feed(create(model="gpt-5", input="x") + create(model="gpt-5", input="never begun"))
    socket.down.feed(event_frame(type="response.created", response={"id": "resp_1", "model": "gpt-5"}))
    socket.down.feed(event_frame(type="response.output_text.delta", delta="hello", output_index=0))
    socket.meter.finish()
    first, second = socket.books.entries
    assert not first.has_ended and not second.has_ended
    assert [choice.text for choice in first.measurement.output.choices()] == ["hello"]
    assert msgspec.json.decode(second.request)["input"] == "never begun"


def completed(name: str, **more: Any) -> bytes:
    response = {"id": name, "model": "gpt-5", "status": "completed", "usage": TEXT_USAGE}
    return event_frame(type="response.completed", response=response, **more)


@settings(max_examples=40)
@given(st.data())
def test_answers_that_are_under_way_at_once_are_told_apart_by_their_lane(data: st.DataObject) -> None:
    lanes = [None, "a", "b", 'with "stream_id":"x" in it']
    told: dict[str | None, list[dict[str, Any]]] = {
        lane: [
            {"type": "response.created", "response": {"id": f"resp_{at}", "model": "gpt-5"}},
            {"type": "response.output_text.delta", "delta": f'said by {at}, "stream_id":"a"', "output_index": 0},
            {
                "type": "response.completed",
                "response": {"id": f"resp_{at}", "usage": TEXT_USAGE | {"total_tokens": 20 + at}},
            },
        ]
        for at, lane in enumerate(lanes)
    }
    socket = Socket("responses")
    for lane in data.draw(st.permutations(lanes)):
        socket.up.feed(create(model="gpt-5", input=f"in {lane}", **({} if lane is None else {"stream_id": lane})))
    for lane in data.draw(st.permutations(lanes * 3)):
        event = told[lane].pop(0)
        socket.down.feed(event_frame(**event, **({} if lane is None else {"stream_id": lane})))
    assert sorted(socket.books.told) == [("resp_0", 20), ("resp_1", 21), ("resp_2", 22), ("resp_3", 23)]
    for entry in socket.books.entries:
        assert entry.measurement.usage is not None
        at = entry.measurement.usage.total_tokens - 20
        assert msgspec.json.decode(entry.request)["input"] == f"in {lanes[at]}"
        assert [choice.text for choice in entry.measurement.output.choices()] == [f'said by {at}, "stream_id":"a"']


def test_the_lane_of_an_event_that_is_too_long_to_be_held_is_found() -> None:
    socket = Socket("responses")
    long = [{"type": "message", "content": [{"type": "output_text", "text": "x" * 600_000}]}]
    response = {"id": "resp_1", "model": "gpt-5", "status": "completed", "usage": TEXT_USAGE, "output": long}
    socket.up.feed(create(model="gpt-5", input="x", stream_id="a") + create(model="gpt-5", input="y"))
    sent = event_frame(response=response, stream_id="a", type="response.completed") + completed("resp_2")
    for at in range(0, len(sent), 65_536):
        socket.down.feed(sent[at : at + 65_536])
    assert socket.books.told == [("resp_1", 13), ("resp_2", 13)]
    assert [msgspec.json.decode(entry.request)["input"] for entry in socket.books.entries] == ["x", "y"]


def test_more_answers_at_once_than_are_followed_make_the_session_say_so() -> None:
    socket = Socket("responses")
    for at in range(65):
        created = {"type": "response.created", "response": {"id": f"resp_{at}"}, "stream_id": str(at)}
        socket.down.feed(event_frame(**created))
    assert socket.meter.session().unreadable == "more than 64 responses are under way at once"


def test_what_becomes_of_input_sent_meanwhile_is_no_answer_and_what_comes_of_it_is_one() -> None:
    socket = Socket("responses")
    socket.up.feed(create(model="gpt-5", input="x"))
    socket.down.feed(event_frame(type="response.created", response={"id": "resp_1"}))
    socket.up.feed(event_frame(MASK, type="response.steer", previous_response_id="resp_1", input="faster"))
    socket.down.feed(event_frame(type="response.steer.accepted", steer={"id": "s", "previous_response_id": "resp_1"}))
    socket.down.feed(completed("resp_1"))
    socket.down.feed(event_frame(type="response.steer.pending", steer={"id": "s"}, reason="waiting"))
    socket.down.feed(event_frame(type="response.inject.failed", response_id="resp_1", error={"code": "gone"}))
    socket.down.feed(event_frame(type="response.something.new", response_id="resp_1"))
    assert socket.books.told == [("resp_1", 13)]
    socket.down.feed(event_frame(type="response.created", response={"id": "resp_2"}) + completed("resp_2"))
    socket.meter.finish()
    assert socket.books.told == [("resp_1", 13), ("resp_2", 13)]


def test_a_request_that_is_refused_while_another_is_answered_leaves_that_answer_alone() -> None:
    socket = Socket("responses")
    socket.up.feed(create(model="gpt-5", input="first"))
    socket.down.feed(event_frame(type="response.created", response={"id": "resp_1"}))
    socket.up.feed(create(model="gpt-5", input="second"))
    socket.down.feed(event_frame(type="error", status=400, error={"code": "busy", "message": "one at a time"}))
    socket.down.feed(completed("resp_1"))
    refused, answered = socket.books.entries
    assert (refused.status, msgspec.json.decode(refused.request)["input"]) == (400, "second")
    assert (answered.measurement.response_id, msgspec.json.decode(answered.request)["input"]) == ("resp_1", "first")


@settings(max_examples=20)
@given(st.sampled_from(["realtime", "responses"]), st.lists(st.integers(0, 3), max_size=12))
def test_an_end_that_is_told_again_counts_once(api: str, order: list[int]) -> None:
    socket = Socket(api)
    for at in order:
        whole = frame(TEXT, done(f"r{at}")) if api == "realtime" else completed(f"r{at}")
        socket.down.feed(whole)
    assert [name for name, _ in socket.books.told] == list(dict.fromkeys(f"r{at}" for at in order))


def test_two_ends_of_one_id_that_say_different_usages_count_twice() -> None:
    socket = Socket()
    socket.down.feed(frame(TEXT, done("r1")) + frame(TEXT, done("r1", usage={**USAGE, "total_tokens": 99})))
    assert socket.books.told == [("r1", 12), ("r1", 99)]


def test_where_contents_are_kept_a_response_has_what_was_said_and_no_sound() -> None:
    socket = Socket(keeps=True)
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Say hello"}]}
    socket.up.feed(event_frame(MASK, type="input_audio_buffer.append", audio="AAAA"))
    socket.up.feed(event_frame(MASK, audio="AAAA", type="input_audio_buffer.append"))
    socket.up.feed(event_frame(MASK, type="conversation.item.create", item=item))
    socket.up.feed(event_frame(MASK, type="session.update", session={"instructions": "x" * 300_000}))
    socket.up.feed(frame(TEXT, b"no event", mask=MASK) + event_frame(MASK, type="response.create"))
    socket.down.feed(event_frame(type="response.created", response={"id": "r1"}))
    socket.up.feed(event_frame(MASK, type="response.cancel"))
    whole = done("r1", output=[{"type": "message", "content": [{"transcript": "hello"}]}])
    socket.down.feed(frame(TEXT, whole) + frame(TEXT, done("r2")))
    first, second = socket.books.entries
    assert first.measurement.content == whole.decode()
    assert [said["type"] for said in msgspec.json.decode(first.request)] == [
        "conversation.item.create",
        "response.create",
    ]
    assert [said["type"] for said in msgspec.json.decode(second.request)] == ["response.cancel"]


def test_what_a_client_says_without_end_is_held_up_to_a_megabyte() -> None:
    said = SaidMessages(unpacks=False)
    reader = FrameReader(said)
    for _ in range(200):
        reader.feed(event_frame(MASK, type="conversation.item.create", text="x" * 20_000))
    assert 900_000 < len(said.take()) < 1_100_000
    assert said.take() == b""


@given(st.lists(st.binary(max_size=60), max_size=6), st.sampled_from(["realtime", "responses"]), st.booleans())
def test_nothing_that_is_said_is_an_error(payloads: list[bytes], api: str, rsv1: bool) -> None:
    socket = Socket(api, unpacks=True)
    for payload in payloads:
        socket.up.feed(frame(TEXT, payload, mask=MASK, rsv1=rsv1))
        socket.down.feed(frame(TEXT, payload, rsv1=rsv1))
    socket.meter.finish()
    socket.meter.session()


_json = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "usage", "error", "session", "response", "event", "type", "status"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    st.sampled_from(
        [
            "session.created",
            "response.created",
            "response.done",
            "response.event",
            "session.closed",
            "error",
            "response.completed",
        ]
    ),
    _json,
    st.sampled_from(["realtime", "responses"]),
)
def test_no_shape_of_an_event_is_an_error(kind: str, inner: Any, api: str) -> None:
    socket = Socket(api)
    members = inner if isinstance(inner, dict) else {"response": inner, "session": inner, "event": inner}
    socket.down.feed(event_frame(**{**members, "type": kind}))
    socket.meter.finish()
    socket.meter.session()
