"""What is billed beside tokens: counted in answers, told by them, or said by the request alone."""

import json
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from tokenweir.apis import METERED, SURFACES, surface_of
from tokenweir.apis.sound import seconds_of_sound
from tokenweir.metering import Measurement, estimate, meter_for
from tokenweir.records import NO_USAGE, QUANTITIES, Quantity

Read = Callable[..., Measurement]

PICTURE = {"b64_json": "iVBORw0KGgo="}
TOLD = {"input_tokens": 17, "input_tokens_details": {"text_tokens": 7, "image_tokens": 10}, "output_tokens": 1056}


def event(kind: str, **members: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind} | members)}\n\n".encode()


def estimated(api: str, request: bytes, reading: Measurement | None) -> Any:
    return estimate(api, request, reading, None, ended_normally=True, azure=True)


@pytest.mark.parametrize("api", ["images_generations", "images_edits"])
def test_a_picture_is_told_in_tokens_and_counted(read: Read, api: str) -> None:
    body = json.dumps({"created": 1, "data": [PICTURE], "usage": TOLD | {"total_tokens": 1073}}).encode()
    usage = read(body, api=api, event_stream=False).usage
    assert usage is not None
    assert (usage.input_tokens, usage.input_image_tokens, usage.output_tokens, usage.total_tokens) == (
        17,
        10,
        1056,
        1073,
    )
    assert usage.output_image_tokens == 1056, "where nothing else is said, all that is written is pictures"
    assert usage.quantities == {"images": Quantity(1, "counted")}
    assert usage.raw == TOLD | {"total_tokens": 1073}


def test_text_beside_a_picture_is_told_apart(read: Read) -> None:
    written = {"output_tokens_details": {"text_tokens": 56, "image_tokens": 1000}}
    body = json.dumps({"data": [PICTURE], "usage": TOLD | written}).encode()
    usage = read(body, api="images_generations", event_stream=False).usage
    assert usage is not None and usage.output_image_tokens == 1000


@pytest.mark.parametrize("size", [10, 3_000_000])
def test_pictures_whose_tokens_nobody_tells_are_counted(read: Read, size: int) -> None:
    body = json.dumps({"created": 1, "data": [{"b64_json": "A" * size}, {"b64_json": "B" * size}]}).encode()
    reading = read(body[:1000], body[1000:], api="images_generations", event_stream=False)
    assert (reading.usage, reading.done) == (None, True)
    usage = estimated("images_generations", b'{"prompt":"a weir"}', reading)
    assert (usage.source, usage.total_tokens) == ("estimated", 0)
    assert usage.quantities == {"images": Quantity(2, "counted")}


@pytest.mark.parametrize("kind", ["image_generation", "image_edit"])
def test_a_stream_tells_a_picture_when_it_is_whole(read: Read, kind: str) -> None:
    parts = [event(f"{kind}.partial_image", b64_json="AAAA", partial_image_index=index) for index in range(2)]
    reading = read(*parts, event(f"{kind}.completed", b64_json="AAAA", usage=TOLD), api="images_edits")
    assert reading.usage is not None
    assert (reading.done, reading.chunks, reading.usage.output_tokens) == (True, 3, 1056)
    assert reading.usage.quantities == {"images": Quantity(1, "counted")}
    assert reading.output.choices() == []


def test_sound_is_passed_on_and_its_characters_are_counted(read: Read) -> None:
    sound = bytes(range(256)) * 5000
    reading = read(sound[:99], sound[99:], api="audio_speech", event_stream=False, keep_content=True)
    assert (reading.usage, reading.unreadable, reading.done, reading.content) == (None, None, True, None)
    usage = estimated("audio_speech", json.dumps({"model": "tts", "input": "Wäßer 🌊"}).encode(), reading)
    assert usage.source == "estimated"
    assert usage.quantities == {"input_characters": Quantity(7, "counted")}


def test_a_stream_of_sound_tells_tokens(read: Read) -> None:
    told = {"input_tokens": 14, "output_tokens": 101, "total_tokens": 115}
    done = event("speech.audio.done", usage=told)
    reading = read(event("speech.audio.delta", audio="AAAA"), done, api="audio_speech")
    assert reading.usage is not None
    assert (reading.usage.raw, reading.done, reading.usage.quantities) == (told, True, {})
    assert reading.output.choices() == []


def wav(seconds: float) -> bytes:
    data = bytes(round(32_000 * seconds))
    head = struct.pack("<IHHIIHH", 16, 1, 1, 16_000, 32_000, 2, 16)
    return (
        b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVEfmt " + head + b"data" + struct.pack("<I", len(data)) + data
    )


def webm(seconds: float) -> bytes:
    info = b"\x2a\xd7\xb1\x83\x0f\x42\x40" + b"\x44\x89\x88" + struct.pack(">d", seconds * 1000)
    return b"\x1a\x45\xdf\xa3\x80" + b"\x18\x53\x80\x67\xff" + b"\x15\x49\xa9\x66" + bytes([0x80 | len(info)]) + info


def form(sound: bytes) -> bytes:
    head = b'--b0\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n'
    return (
        head % (b"model", b"", b"whisper")
        + head % (b"file", b'; filename="a"\r\nContent-Type: audio/x', sound)
        + b"--b0--\r\n"
    )


@pytest.mark.parametrize("sound", [wav, webm])
@pytest.mark.parametrize(("seconds", "amount"), [(8.4, Decimal("8.4")), (3, 3), (0.25, Decimal("0.25"))])
def test_a_text_that_tells_no_seconds_has_those_of_the_file(
    read: Read, sound: Callable[[float], bytes], seconds: float, amount: int | Decimal
) -> None:
    reading = read(b"Water flows.\n", api="audio_transcriptions", event_stream=False)
    usage = estimated("audio_transcriptions", form(sound(seconds)), reading)
    assert usage.source == "estimated"
    assert usage.quantities == {"input_audio_seconds": Quantity(amount, "derived")}


@pytest.mark.parametrize("sound", [b"", b"no sound", webm(2).replace(b"\x44\x89", b"\x44\x88"), wav(1)[:30]])
def test_a_file_that_does_not_say_how_long_it_is_is_not_taken_for_nothing(read: Read, sound: bytes) -> None:
    reading = read(b"Water flows.\n", api="audio_translations", event_stream=False)
    usage = estimated("audio_translations", form(sound), reading)
    assert (usage.source, usage.quantities) == ("none", {"input_audio_seconds": Quantity(None, "unknown")})


_HEADS = st.sampled_from([b"", b"RIFF", b"ID3\x04", b"\xff\xfb\x90\x00", b"OggS\x00\x02", b"fLaC", b"\x1a\x45\xdf\xa3"])


@settings(max_examples=300)
@given(_HEADS, st.binary(max_size=400), st.integers(0, 200))
def test_no_file_of_a_stranger_ends_the_count(head: bytes, rest: bytes, cut: int) -> None:
    made = form(head + rest)
    for body in (made, made[:cut], head + rest, wav(0.01)[:cut] + rest):
        seconds = seconds_of_sound(body)
        assert seconds is None or seconds > 0


def item(kind: str, **members: Any) -> dict[str, Any]:
    return {"id": "i", "type": kind, "status": "completed"} | members


OUTPUT = [
    item("web_search_call", action={"type": "search", "query": "weir"}),
    item("web_search_call", action={"type": "open_page", "url": "https://example.com"}),
    item("web_search_call"),
    item("file_search_call", queries=["weir"]),
    item("code_interpreter_call", container_id="c1"),
    item("code_interpreter_call", container_id="c1"),
    item("code_interpreter_call", container_id="c2"),
    item("mcp_call"),
    item("function_call", name="f", arguments="{}"),
]
BILLED = {
    "web_searches": Quantity(2, "counted"),
    "file_searches": Quantity(1, "counted"),
    "sessions": Quantity(2, "counted"),
}
RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "status": "completed",
    "model": "gpt-5.6",
    "output": OUTPUT,
    "usage": {"input_tokens": 9, "output_tokens": 3, "total_tokens": 12},
}


@pytest.mark.parametrize("long", [False, True])
def test_tools_of_the_upstream_are_counted_by_what_is_billed(read: Read, long: bool) -> None:
    text = item("message", content=[{"type": "output_text", "text": "x" * (2_000_000 if long else 1)}])
    body = json.dumps(RESPONSE | {"output": [*OUTPUT, text]}).encode()
    usage = read(body, api="responses", event_stream=False).usage
    assert usage is not None and usage.quantities == BILLED


def test_a_stream_that_ends_counts_them_once(read: Read) -> None:
    items = [event("response.output_item.done", output_index=at, item=one) for at, one in enumerate(OUTPUT)]
    usage = read(*items, event("response.completed", response=RESPONSE), api="responses").usage
    assert usage is not None and usage.quantities == BILLED


def test_a_stream_that_breaks_has_those_that_had_ended(read: Read) -> None:
    items = [event("response.output_item.done", output_index=at, item=one) for at, one in enumerate(OUTPUT[:4])]
    reading = read(*items, api="responses")
    usage = estimated("responses", b'{"input":"Hi"}', reading)
    assert usage.source == "estimated"
    assert usage.quantities == {"web_searches": Quantity(2, "counted"), "file_searches": Quantity(1, "counted")}


def test_reranking_is_told_in_search_units(read: Read) -> None:
    body = {
        "id": "r1",
        "results": [{"index": 0, "relevance_score": 0.9}],
        "meta": {"billed_units": {"search_units": 2}},
    }
    usage = read(json.dumps(body).encode(), api="rerank", event_stream=False).usage
    assert usage is not None
    assert (usage.source, usage.total_tokens, usage.quantities) == ("reported", 0, {"search_units": Quantity(2)})


@pytest.mark.parametrize("api", ["moderations", "count_tokens", "input_tokens"])
def test_what_nobody_is_billed_for_has_no_usage(read: Read, api: str) -> None:
    assert not surface_of(api).units
    reading = read(b'{"id":"m","input_tokens":17,"results":[]}', api=api, event_stream=False)
    assert (reading.usage, reading.done, reading.unreadable) == (None, True, None)


_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**70) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
_NAMES = (
    *("usage", "data", "type", "output", "meta", "item", "response", "message", "error", "model", "id", "delta"),
    *("billed_units", "search_units", "server_tool_use", "web_search_requests", "cache_creation", "action"),
    *("ephemeral_1h_input_tokens", "input_tokens", "output_tokens", "output_tokens_details", "seconds", "duration"),
    *("container_id", "image_generation.completed", "web_search_call", "code_interpreter_call", "completed", "status"),
)
_answers = st.dictionaries(
    st.sampled_from(_NAMES),
    st.recursive(
        _values | st.sampled_from(_NAMES),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_NAMES), inner, max_size=4),
        max_leaves=10,
    ),
)


@given(_answers, st.sampled_from([surface.name for surface in SURFACES]), st.booleans())
def test_whatever_an_answer_says_its_quantities_are_known_and_positive(
    answer: dict[str, Any], api: str, streams: bool
) -> None:
    body = json.dumps(answer).encode()
    meter = meter_for(
        surface_of(api), event_stream=streams, content_encoding="", keep_content=False, monotonic=lambda: 1.0
    )
    meter.feed(b"data: " + body + b"\n\n" if streams else body)
    reading = meter.finish()
    usage = reading.usage or estimated(api, body, reading)
    assert usage.quantities.keys() <= QUANTITIES.keys()
    for quantity in usage.quantities.values():
        is_known = quantity.amount is not None
        assert is_known == (quantity.source != "unknown")
        assert (quantity.amount or 0) >= 0


RECORDED = ("images/generations", "images/edits", "audio/transcriptions", "audio/speech", "responses/input_tokens")


def recorded(shared: Path, *endpoints: str) -> Iterator[tuple[dict[str, Any], bytes, Measurement]]:
    """What the index says of a call that went well, its request, and a reading of its answer."""
    folder = shared / "recorded"
    for line in (folder / "index.jsonl").read_text().splitlines():
        row = json.loads(line)
        if row["endpoint"] in endpoints and row["status"] == 200:
            call = json.loads((folder / row["file"]).read_text())
            asked = (call["request"] or {}).get("body") or ""
            meter = meter_for(
                METERED["openai"][row["endpoint"]],
                event_stream=row["streaming"],
                content_encoding="",
                keep_content=False,
                monotonic=lambda: 1.0,
            )
            meter.feed(call["response"]["body"].encode())
            yield row, asked.encode() if isinstance(asked, str) else json.dumps(asked).encode(), meter.finish()


def test_recorded_pictures_and_sounds_are_metered_to_the_unit(shared: Path) -> None:
    units: Counter[str] = Counter()
    for row, asked, reading in recorded(shared, *RECORDED):
        surface, told = METERED["openai"][row["endpoint"]], row["usage"]
        usage = reading.usage or (estimated(surface.name, asked, reading) if surface.units else NO_USAGE)
        assert reading.done, row["file"]
        if told is not None:
            counts = told.get("input_tokens", 0), told.get("output_tokens", 0)
            assert (usage.source, usage.input_tokens, usage.output_tokens) == ("reported", *counts), row["file"]
            assert usage.output_image_tokens == (told.get("output_tokens_details") or {}).get("image_tokens", 0)
        elif surface.units:
            assert usage.source == "estimated", row["file"]
        units.update({name: int(quantity.amount or 0) for name, quantity in usage.quantities.items()})
    assert units == {"images": 13, "input_audio_seconds": 8, "input_characters": 64}


def test_recorded_tools_are_counted_as_their_items_say(shared: Path) -> None:
    for row, _, reading in recorded(shared, "responses"):
        counted = {name: int(quantity.amount or 0) for name, quantity in reading.counted.items()}
        calls = reading.tool_calls
        assert counted.get("file_searches", 0) == calls.get("file_search_call", 0), row["file"]
        assert counted.get("web_searches", 0) <= calls.get("web_search_call", 0), row["file"]
        assert ("sessions" in counted) == ("code_interpreter_call" in calls), row["file"]
