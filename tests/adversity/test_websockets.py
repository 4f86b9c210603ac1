"""WebSockets byte for byte, with upstreams and clients that are slow, odd, or gone."""

from decimal import Decimal
from typing import Any

import pytest

from support.raw_client import RawClient
from support.relay_thread import KEY, running_relay
from support.scripted import Line, Play
from support.websocket_frames import (
    CLOSE,
    CONTINUATION,
    MASK,
    PING,
    PONG,
    SWITCHED,
    TEXT,
    asks,
    event_frame,
    frame,
    opened,
    saying,
)
from support.world import World
from tokenweir.records import Quantity
from tokenweir.upstream import CredentialSettings, UpstreamSettings

USAGE = {
    "total_tokens": 253,
    "input_tokens": 132,
    "output_tokens": 121,
    "input_token_details": {
        "text_tokens": 119,
        "audio_tokens": 13,
        "image_tokens": 0,
        "cached_tokens": 64,
        "cached_tokens_details": {"text_tokens": 60, "audio_tokens": 4, "image_tokens": 0},
    },
    "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
}
FAULTY = "/openai/v1/realtime?model=faulty"
SESSION = event_frame(type="session.created", event_id="e1", session={"id": "sess_1", "model": "gpt-realtime-2"})


def begun(response: str = "resp_1") -> bytes:
    return event_frame(type="response.created", response={"id": response, "status": "in_progress"})


def done(response: str = "resp_1", status: str = "completed", usage: Any = USAGE, **more: Any) -> bytes:
    told = {"object": "realtime.response", "id": response, "status": status, "usage": usage, **more}
    return event_frame(type="response.done", event_id="e9", response=told)


def test_every_byte_passes_in_both_directions_whatever_the_frames_are(world: World) -> None:
    down = SESSION + frame(TEXT, b'{"type":"odd"', fin=False) + frame(PING, b"!") + frame(CONTINUATION, b"}")
    down += frame(2, bytes(range(256)) * 300) + frame(TEXT, b"") + frame(PONG, b"")
    up = (
        frame(TEXT, b'{"type":"a"}', mask=MASK)
        + frame(PING, b"?", mask=b"\0\0\0\0")
        + frame(2, b"x" * 70_000, mask=MASK)
    )
    came = []

    def play(line: Line) -> None:
        came.append(line.read_head())
        line.send(SWITCHED + b"\r\n" + down[:7])
        came.append(line.read(len(up)))
        for at in range(7, len(down), 1000):
            line.send(down[at : at + 1000])
        came.append(line.read(len(frame(CLOSE, b"\x03\xe8bye", mask=MASK))))
        line.send(frame(CLOSE, b"\x03\xe8bye"))

    relay = world.relay(world.upstream(play))
    with opened(relay, asks(FAULTY)) as client:
        client.send(up)
        assert client.read(len(down)) == down
        client.send(frame(CLOSE, b"\x03\xe8bye", mask=MASK))
        assert client.read(7) == frame(CLOSE, b"\x03\xe8bye")
        assert client.read_to_end() == b""
    assert came[1:] == [up, frame(CLOSE, b"\x03\xe8bye", mask=MASK)]
    (record,) = relay.records(1)
    assert (record.api, record.operation, record.status, record.outcome) == ("realtime", "session", 101, "completed")
    assert (record.session_id, record.response_model, record.deployment) == ("sess_1", "gpt-realtime-2", "faulty")
    assert (record.bytes_in, record.bytes_out) == (len(up) + 11, len(down) + 7)
    assert (record.usage.source, record.usage.reason) == ("none", None)


def test_what_is_asked_of_the_upstream_has_its_key_and_not_the_callers(world: World) -> None:
    heads = []

    def play(line: Line) -> None:
        heads.append(line.read_head())
        line.send(SWITCHED + b"Sec-WebSocket-Protocol: realtime\r\n\r\n")

    relay = world.relay(world.upstream(play))
    browser = f"Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.{KEY}, openai-beta.realtime-v1"
    extensions = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, x-unknown"
    for request in (
        asks(FAULTY, browser, extensions, key=None),
        asks(f"{FAULTY}&api-key={KEY}", extensions, key=None),
        asks(FAULTY, f"Authorization: Bearer {KEY}", extensions, key=None),
    ):
        with opened(relay, request) as client:
            assert client.read_to_end() == b""
    for head in heads:
        assert KEY.encode() not in head
        assert b"api-key: upstream-key\r\n" in head
        assert b"get /openai/v1/realtime?model=faulty http/1.1\r\n" in head
        assert b"connection: upgrade\r\nupgrade: websocket\r\n" in head
        assert extensions.lower().encode() in head
        assert b"sec-websocket-key: dghlihnhbxbszsbub25jzq==\r\n" in head
    assert b"sec-websocket-protocol: realtime, openai-beta.realtime-v1\r\n" in heads[0]
    assert [record.caller for record in relay.records(3)] == ["team-a"] * 3


def test_each_response_has_its_record_whatever_its_status(world: World) -> None:
    failed = {"type": "failed", "error": {"type": "server_error", "code": "overloaded"}}
    relay = world.relay(
        world.upstream(
            saying(
                SESSION,
                begun("r1") + event_frame(type="response.output_audio.delta", delta="AAAA") + done("r1"),
                begun("r2") + done("r2", "cancelled", status_details={"type": "cancelled", "reason": "turn_detected"}),
                begun("r3") + done("r3", "incomplete", status_details={"reason": "max_output_tokens"}),
                begun("r4") + done("r4", "failed", usage=None, status_details=failed),
                done("r5", usage=None),
                frame(CLOSE, b"\x03\xe8"),
            ),
        )
    )
    with opened(relay, asks(FAULTY)) as client:
        client.read_until(frame(CLOSE, b"\x03\xe8"))
    *responses, session = relay.records(6)
    assert [record.response_id for record in responses] == ["r1", "r2", "r3", "r4", "r5"]
    assert [record.finish_reasons for record in responses] == [
        ["stop"],
        ["turn_detected"],
        ["max_output_tokens"],
        ["failed"],
        ["stop"],
    ]
    assert [record.outcome for record in responses] == [*["completed"] * 3, "upstream_error", "completed"]
    assert [record.error_code for record in responses] == [None, None, None, "overloaded", None]
    assert [record.usage.source for record in responses] == [*["reported"] * 3, "none", "none"]
    assert [record.usage.reason for record in responses] == [*[None] * 4, "withheld"]
    usage = responses[0].usage
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (132, 121, 253)
    assert (usage.cached_input_tokens, usage.cached_audio_tokens, usage.input_audio_tokens) == (64, 4, 13)
    assert (usage.output_audio_tokens, usage.raw) == (91, USAGE)
    assert {record.session_id for record in [*responses, session]} == {"sess_1"}
    assert {record.response_model for record in responses} == {"gpt-realtime-2"}
    assert len({record.call_id for record in [*responses, session]}) == 6
    assert responses[0].first_token_ms is not None
    assert (session.outcome, session.usage.source) == ("completed", "none")


def test_what_the_caller_said_has_records_of_its_own_by_the_model_that_heard_it(world: World) -> None:
    heard = "conversation.item.input_audio_transcription.completed"
    tokens = {"type": "tokens", "input_tokens": 26, "output_tokens": 7, "total_tokens": 33}
    tokens["input_token_details"] = {"audio_tokens": 20, "text_tokens": 6}
    audio = {"input": {"transcription": {"model": "gpt-4o-mini-transcribe"}}}
    relay = world.relay(
        world.upstream(
            saying(
                SESSION,
                event_frame(
                    type="session.updated", session={"id": "sess_1", "model": "gpt-realtime-2", "audio": audio}
                ),
                event_frame(type=heard, item_id="item_1", content_index=0, transcript="hello", usage=tokens),
                event_frame(
                    type="session.updated",
                    session={"id": "sess_1", "input_audio_transcription": {"model": "whisper-1"}},
                ),
                event_frame(type=heard, item_id="item_2", transcript="", usage={"type": "duration", "seconds": 3.5}),
                event_frame(
                    type=heard.replace("completed", "failed"), item_id="item_3", error={"code": "audio_unintelligible"}
                ),
                frame(CLOSE, b""),
            ),
        )
    )
    with opened(relay, asks(FAULTY)) as client:
        client.read_until(frame(CLOSE, b""))
    first, second, third, _ = relay.records(4)
    assert (first.operation, first.response_model, first.response_id) == (
        "transcription",
        "gpt-4o-mini-transcribe",
        "item_1",
    )
    assert (first.usage.input_tokens, first.usage.input_audio_tokens, first.usage.output_tokens) == (26, 20, 7)
    assert (second.response_model, second.usage.quantities, second.usage.total_tokens) == (
        "whisper-1",
        {"input_audio_seconds": Quantity(Decimal("3.5"))},
        0,
    )
    assert second.usage.source == "reported"
    assert (third.outcome, third.error_code, third.usage.source) == ("upstream_error", "audio_unintelligible", "none")


def upstream_close(line: Line) -> None:
    line.read_head()
    line.send(SWITCHED + b"\r\n" + begun() + frame(CLOSE, b"\x03\xf3oops"))
    line.read(6)


def upstream_reset(line: Line) -> None:
    line.read_head()
    line.send(SWITCHED + b"\r\n" + begun())
    line.read(6)
    line.reset()


def upstream_waits(line: Line) -> None:
    line.read_head()
    line.send(SWITCHED + b"\r\n" + begun())
    line.wait_closed()


@pytest.mark.parametrize(
    ("play", "leaves", "outcome", "code"),
    [
        (upstream_close, False, "upstream_error", "websocket_close_1011"),
        (upstream_reset, False, "upstream_broken", "upstream_broken"),
        (upstream_waits, True, "client_gone", None),
    ],
)
def test_a_response_that_is_open_when_the_socket_ends_is_recorded_as_cut(
    world: World, play: Play, leaves: bool, outcome: str, code: str | None
) -> None:
    relay = world.relay(world.upstream(play))
    with opened(relay, asks(FAULTY)) as client:
        client.read(len(begun()))
        if not leaves:
            client.send(frame(TEXT, b"", mask=MASK))
            client.read_to_end()
    response, session = relay.records(2)
    assert (response.response_id, response.outcome, response.error_code) == ("resp_1", outcome, code)
    assert (response.usage.source, response.usage.reason) == ("none", "cut")
    assert (session.operation, session.outcome, session.error_code) == ("session", outcome, code)


def test_a_socket_that_is_refused_is_passed_on_and_recorded_as_any_call(world: World) -> None:
    def play(line: Line) -> None:
        line.read_head()
        line.send(b"HTTP/1.1 429 Busy\r\nretry-after: 7\r\ncontent-length: 2\r\n\r\n{}")
        line.wait_closed()

    relay = world.relay(world.upstream(play))
    for request, status in (
        (asks(FAULTY), 429),
        (asks(FAULTY, key="wrong"), 401),
        (asks("/openai/v1/realtime?model=unknown"), 404),
        (asks("/openai/v1/Realtime?model=faulty"), 404),
    ):
        with RawClient(relay.address) as client:
            client.send(request)
            assert client.read_answer().status == status
    assert [record.status for record in relay.records(4)] == [429, 401, 404, 404]


def test_another_target_is_tried_before_the_upgrade(world: World) -> None:
    def busy(line: Line) -> None:
        line.read_head()
        line.send(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n")
        line.wait_closed()

    relay = world.relay(world.upstream(busy), world.upstream(saying(frame(CLOSE, b""))))
    with opened(relay, asks(FAULTY)) as client:
        client.read(2)
    (record,) = relay.records(1)
    assert (record.attempts, record.backend, record.status) == (2, "faulty-1", 101)


@pytest.mark.parametrize(
    ("tail", "answer", "operation", "session"),
    [
        (
            "realtime/client_secrets",
            b'{"value":"ek_1","expires_at":1,"session":{"object":"realtime.session","id":"sess_7","model":"m"}}',
            "realtime/client_secrets",
            "sess_7",
        ),
        ("realtime/sessions", b'{"object":"realtime.session","id":"sess_8"}', "realtime/sessions", "sess_8"),
        ("realtime/calls", b"v=0\r\n", "realtime/calls", "rtc_9"),
        ("live/sessions", b'{"session":{"id":"live_3"},"transport":{"type":"webrtc"}}', "live/sessions", "live_3"),
        ("realtime/calls/rtc_5/accept", b"{}", "realtime/calls", "rtc_5"),
    ],
)
def test_who_got_a_session_that_passes_by_is_recorded(
    world: World, tail: str, answer: bytes, operation: str, session: str
) -> None:
    def play(line: Line) -> None:
        line.read_request()
        location = b"location: /v1/realtime/calls/rtc_9\r\n" if tail == "realtime/calls" else b""
        line.send(b"HTTP/1.1 201 Created\r\n%bcontent-length: %d\r\n\r\n%b" % (location, len(answer), answer))
        line.wait_closed()

    upstream = world.upstream(play)
    settings = UpstreamSettings("only", upstream.url, CredentialSettings(key="upstream-key"))
    with running_relay(world.folder, [settings]) as relay, RawClient(relay.address) as client:
        head = [f"POST /openai/v1/{tail} HTTP/1.1", "Host: here", f"api-key: {KEY}", "content-type: application/json"]
        client.send("\r\n".join([*head, "content-length: 2", "", "{}"]).encode())
        assert client.read_answer().body == answer
        record = relay.record()
    assert (record.operation, record.session_id, record.caller) == (operation, session, "team-a")
    assert (record.usage.source, record.usage.reason) == ("none", "elsewhere")


def test_a_socket_of_an_api_that_is_not_known_passes_too(world: World) -> None:
    upstream = world.upstream(saying(frame(TEXT, b"hello"), frame(CLOSE, b"")))
    settings = UpstreamSettings("only", upstream.url, CredentialSettings(key="upstream-key"))
    with running_relay(world.folder, [settings]) as relay:
        with opened(relay, asks("/openai/v1/unheard/of?model=x")) as client:
            assert client.read(9) == frame(TEXT, b"hello") + frame(CLOSE, b"")
        record = relay.record()
    assert (record.api, record.operation, record.outcome, record.status) == ("other", "unheard", "completed", 101)
    assert (record.usage.source, record.bytes_out) == ("none", 9)


def test_another_upgrade_stays_behind(world: World) -> None:
    relay = world.relay()
    path = "/openai/v1/realtime?model=gpt-4o"
    for request in (
        asks(path).replace(b"Upgrade: websocket", b"Upgrade: h2c"),
        asks(path).replace(b"keep-alive, Upgrade", b"keep-alive"),
        asks(path).replace(b"HTTP/1.1\r\n", b"HTTP/1.0\r\n"),
    ):
        with RawClient(relay.address) as client:
            client.send(request)
            told = client.read_answer()
            assert (told.status, b"opens a WebSocket" in told.body) == (400, True)  # so it was asked for none
    relay.records(3)
