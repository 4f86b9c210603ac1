"""However a stream is written and cut, its reading is what the frames say. And no bytes make a meter raise."""

import gzip
import json
import zlib
from collections.abc import Callable
from functools import reduce
from typing import Any

from hypothesis import HealthCheck, given, settings, strategies as st

from tokenweir.metering import Measurement
from tokenweir.metering.usage import merged

Read = Callable[..., Measurement]
Frame = dict[str, Any]

USES_FIXTURE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])

text = st.one_of(
    st.text(max_size=12),
    st.sampled_from(['"usage":{"prompt_tokens":1}', "error", "\n\ndata: [DONE]\n\n", "\r\n", "水位計 📏", "\\"]),
)
numbers = st.integers(0, 10**6)
usages = st.fixed_dictionaries({"prompt_tokens": numbers, "completion_tokens": numbers, "total_tokens": numbers})
verdicts = st.dictionaries(
    st.sampled_from(["hate", "violence", "jailbreak", "self_harm"]),
    st.fixed_dictionaries({"filtered": st.booleans(), "severity": st.just("safe")}),
)
deltas = st.one_of(
    st.fixed_dictionaries({"content": text}),
    st.fixed_dictionaries({"refusal": text}),
    st.builds(
        lambda index, name, arguments: {
            "tool_calls": [{"index": index, "type": "function", "function": {"name": name, "arguments": arguments}}]
        },
        st.integers(0, 2),
        st.none() | text,
        text,
    ),
    st.just({}),
)
choices = st.fixed_dictionaries(
    {"index": st.integers(0, 2), "finish_reason": st.sampled_from([None, None, "stop", "length"])},
    optional={"delta": deltas, "content_filter_results": verdicts},
)
names = st.sampled_from(["", "gpt-4o", "gpt-4o-2024-11-20"])
frames = st.one_of(
    st.fixed_dictionaries(
        {"id": st.sampled_from(["", "chatcmpl-1"]), "model": names, "choices": st.lists(choices, max_size=3)},
        optional={"usage": st.none() | usages},
    ),
    st.fixed_dictionaries(
        {
            "id": st.just(""),
            "model": st.just(""),
            "choices": st.just([]),
            "prompt_filter_results": st.lists(st.fixed_dictionaries({"content_filter_results": verdicts}), max_size=2),
        }
    ),
    st.builds(lambda code: {"error": {"code": code, "message": "…"}}, st.sampled_from(["server_error", "429"])),
)
last_frames = st.builds(lambda usage: {"id": "chatcmpl-1", "model": "gpt-4o", "choices": [], "usage": usage}, usages)


styles: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [{"separators": (",", ":")}, {"separators": (", ", ": ")}, {"indent": 1}]
)


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[Frame], bytes, bool]:
    """Frames, the bytes of a stream of them, and whether it ends with ``[DONE]``.

    Some upstreams write the frame of usage in another way than those before. A long stream is folded.
    """
    drawn = draw(st.lists(frames, max_size=8)) * draw(st.sampled_from([1, 1, 120]))
    last = draw(st.lists(last_frames, max_size=1))
    style, last_style = draw(styles), draw(styles)
    lines = [encode(frame, style) for frame in drawn] + [encode(frame, last_style) for frame in last]
    done = draw(st.booleans())
    lines += [b"[DONE]"] if done else []
    field = draw(st.sampled_from([b"data: ", b"data:"]))
    before = draw(st.sampled_from([b"", b"", b"event: message\n", b": ping\n\n"]))
    raw = b"".join(before + field + line.replace(b"\n", b"\n" + field) + b"\n\n" for line in lines)
    if draw(st.booleans()):
        raw = raw.replace(b"\n", b"\r\n")
    return drawn + last, raw, done


def encode(frame: Frame, style: dict[str, Any]) -> bytes:
    return json.dumps(frame, ensure_ascii=False, **style).encode()


@st.composite
def cuts(draw: st.DrawFn, raw: bytes) -> list[bytes]:
    ends = sorted(draw(st.lists(st.integers(0, len(raw)), max_size=10)))
    return [raw[start:end] for start, end in zip([0, *ends], [*ends, len(raw)], strict=True)]


def expected(drawn: list[Frame]) -> dict[str, Any]:
    """The reading, taken from the frames themselves."""
    all_choices = [choice for frame in drawn for choice in frame.get("choices", [])]
    verdict_sets = [
        results["content_filter_results"]
        for frame in drawn
        for results in [*frame.get("choices", []), *frame.get("prompt_filter_results", [])]
        if "content_filter_results" in results
    ]
    filtered = [name for verdict in verdict_sets for name, one in verdict.items() if one["filtered"]]
    usages = [frame["usage"] for frame in drawn if frame.get("usage")]
    usage = reduce(merged, usages) if usages else None
    if usage is not None and not any(usage.values()) and any(choice["finish_reason"] for choice in all_choices):
        usage = None  # zeros beside an answer say nothing
    return {
        "usage": usage,
        "response_model": next((frame["model"] for frame in reversed(drawn) if frame.get("model")), None),
        "response_id": next((frame["id"] for frame in reversed(drawn) if frame.get("id")), None),
        "finish_reasons": [choice["finish_reason"] for choice in all_choices if choice["finish_reason"]],
        "content_filter": ",".join(dict.fromkeys(filtered)) or None,
        "error_code": next((frame["error"]["code"] for frame in reversed(drawn) if "error" in frame), None),
        "chunks": len(drawn),
    }


def written(drawn: list[Frame]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Text and tool calls of each choice, taken from the frames themselves."""
    texts: dict[int, str] = {}
    calls: dict[int, dict[int, tuple[str, str]]] = {}
    for choice in (choice for frame in drawn for choice in frame.get("choices", [])):
        index, delta = choice["index"], choice.get("delta", {})
        texts[index] = texts.get(index, "") + delta.get("content", "") + delta.get("refusal", "")
        called = calls.setdefault(index, {})
        for call in delta.get("tool_calls", []):
            name, arguments = called.get(call["index"], ("", ""))
            function = call["function"]
            called[call["index"]] = (name + (function["name"] or ""), arguments + function["arguments"])
    return [(texts[index], list(calls[index].values())) for index in sorted(texts)]


def facts(reading: Measurement) -> dict[str, Any]:
    return {
        "usage": reading.usage and reading.usage.raw,
        "response_model": reading.response_model,
        "response_id": reading.response_id,
        "finish_reasons": reading.finish_reasons,
        "content_filter": reading.content_filter,
        "error_code": reading.error_code,
        "chunks": reading.chunks,
    }


@USES_FIXTURE
@given(stream=streams(), data=st.data())
def test_reading_is_what_the_frames_say(
    read: Read, stream: tuple[list[Frame], bytes, bool], data: st.DataObject
) -> None:
    drawn, raw, done = stream
    reading = read(*data.draw(cuts(raw)), keep_content=True)
    assert facts(reading) == expected(drawn)
    assert reading.done == done
    assert reading.content == raw.decode(errors="replace")
    assert reading.unreadable is None
    assert [(choice.text, choice.calls) for choice in reading.output.choices()] == written(drawn)


def bare(raw: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflater.compress(raw) + deflater.flush()


PACKERS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress, "bare": bare}


@USES_FIXTURE
@given(stream=streams(), data=st.data(), encoding=st.sampled_from(["gzip", "deflate", "bare"]))
def test_compressed_streams_read_the_same(
    read: Read, stream: tuple[list[Frame], bytes, bool], data: st.DataObject, encoding: str
) -> None:
    drawn, raw, done = stream
    name = "gzip" if encoding == "gzip" else "deflate"
    reading = read(*data.draw(cuts(PACKERS[encoding](raw))), content_encoding=name)
    assert facts(reading) == expected(drawn)
    assert reading.done == done
    assert reading.unreadable is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(
            ["id", "model", "choices", "delta", "message", "content", "tool_calls", "function", "usage", "error",
             "index", "finish_reason", "text", "prompt_tokens", "filtered", "content_filter_results", "arguments"]
        ),
        inner,
        max_size=5,
    ),
    max_leaves=25,
)  # fmt: skip
odd_pieces = st.one_of(
    st.binary(max_size=60),
    json_values.map(lambda value: b"data: " + json.dumps(value).encode() + b"\n\n"),
    json_values.map(lambda value: json.dumps(value).encode()),
    st.sampled_from(
        [b"data: [DONE]\n\n", b"\r", b"\n\n", b"[" * 5_000, b'{"a":' * 5_000, b"\x1f\x8b\x08", b"\x78\x9c"]
    ),
)


@USES_FIXTURE
@given(
    pieces=st.lists(odd_pieces, max_size=8),
    api=st.sampled_from(["chat_completions", "completions", "embeddings", "responses", "other"]),
    event_stream=st.booleans(),
    content_encoding=st.sampled_from(["", "identity", "gzip", "deflate", "br", "gzip, gzip"]),
    keep_content=st.booleans(),
)
def test_no_bytes_make_a_meter_raise(
    read: Read, pieces: list[bytes], api: str, event_stream: bool, content_encoding: str, keep_content: bool
) -> None:
    reading = read(
        *pieces, api=api, event_stream=event_stream, content_encoding=content_encoding, keep_content=keep_content
    )
    assert reading.usage is None or reading.usage.source == "reported"
    assert (reading.unreadable is not None) or content_encoding not in ("br", "gzip, gzip")
    for choice in reading.output.choices():
        assert isinstance(choice.text, str)
