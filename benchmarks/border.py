"""``python -m benchmarks.border``: hostile values at the border of what is compiled, without a network.

A compiled module must answer as its source does, and never end the process: requests, answers and JSON are mutated, cut
into pieces and nested without end, and functions get what is not of their type. What comes out is digested, so that two
builds can be held against each other: the same seed gives the same digest. What is drawn depends on the seed alone.
"""

import argparse
import gzip
import hashlib
import logging
import os
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from tokenweir import apis, metering, providers, wire
from tokenweir.build import running_build
from tokenweir.deployments import Catalogue, DeploymentSettings, TargetSettings
from tokenweir.errors import TokenweirError
from tokenweir.gateway import routes
from tokenweir.journal import payload, segment
from tokenweir.policy import CallerSettings, Keyring, hash_key
from tokenweir.records import CallRecord, SystemClock
from tokenweir.upstream import request_body

_TOKENS = [
    *(b"", b"\r\n", b"\n\n", b"\r\n\r\n", b"\r", b":", b" ", b"\t", b"\0", b"\x80", b"\xff", b"0\r\n\r\n"),
    *(b"data: ", b"data: [DONE]\n\n", b"event: x\n", b'"usage":{', b'"usage":null', b"\\", b'"', b"{", b"}"),
    *(b"[", b"]", b"NaN", b"-Infinity", b"1e999", b"9" * 40, b"-1", b'"\\ud800"', b'"\\u0075sage"', b"null"),
    *(b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"%2e%2e", b"%00", b"..", b"?", b"&api-key=k"),
]
_USAGE = (
    b'{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13,"prompt_tokens_details":{"cached_tokens":3},'
    b'"completion_tokens_details":{"reasoning_tokens":2}}'
)
_CHAT = (
    b'{"id":"c1","object":"chat.completion","model":"gpt-4o","choices":[{"index":0,"finish_reason":"stop","message":'
    b'{"role":"assistant","content":"Hi \\u00e9","tool_calls":[{"function":{"name":"f","arguments":"{}"}}]},'
    b'"content_filter_results":{"hate":{"filtered":true}}}],"usage":%b}' % _USAGE
)
_STREAM = (
    b'data: {"id":"c1","model":"gpt-4o","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}\n\n'
    b'data: {"id":"c1","model":"gpt-4o","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    b'data: {"id":"c1","model":"gpt-4o","choices":[],"usage":%b}\n\ndata: [DONE]\n\n' % _USAGE
)
_EVENTS = (
    b'event: response.created\ndata: {"type":"response.created","response":{"id":"r","model":"gpt-4o"}}\n\n'
    b'data: {"type":"response.output_text.delta","delta":"Hi"}\n\n'
    b'data: {"type":"response.completed","response":{"id":"r","model":"gpt-4o","status":"completed","output":[{"type":'
    b'"message","content":[{"text":"Hi"}]},{"type":"web_search_call"}],"usage":{"input_tokens":9,"output_tokens":4}}}\n\n'
)
_REQUEST = (
    b"POST /openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21 HTTP/1.1\r\nHost: a\r\napi-key: k\r\n"
    b"Content-Type: application/json\r\nContent-Length: 12\r\n\r\n"
)
_BODY = (
    b'{"model":"gpt-4o","stream":true,"stream_options":{},"messages":[{"role":"user","content":"Hi"}],"tools":[{"type":'
    b'"function","function":{"name":"f","parameters":{"type":"object","properties":{"a":{"$ref":"#/properties/a"},'
    b'"b":{"anyOf":[{"$ref":"#"},{"enum":["x",1]}]}}}}}]}'
)
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\nx-request-id: 7\r\n"
_CHUNKED = b"5;a=b\r\nhello\r\n" * 3 + b"0\r\ntrailer: x\r\n\r\nrest"
_FORM = b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n--b--\r\n'
_CORPUS = [_CHAT, _STREAM, _EVENTS, _REQUEST, _BODY, _HEAD, _CHUNKED, _FORM, _USAGE, b"{}", b"[]", b""]
# Below what any decoder takes, and above: where it ends lies between, and depends on what stands on the stack.
_DEPTHS = (3, 100, 20_000)
_FOREIGN: list[Any] = [None, 0, -1, 2**70, 1.5, float("nan"), "", "text", "\ud800", b"", b"x", [], [None], {}, {"a": 1}]
_FOREIGN += [object(), bytearray(b"data: x\n\n"), memoryview(b"x"), (), iter([]), Exception, True]


class Drawn:
    """What one round is made of."""

    def __init__(self, seed: str) -> None:
        self.random = random.Random(seed)

    def mutated(self, data: bytes) -> bytes:
        draw = self.random
        for _ in range(draw.choice((0, 1, 1, 2, 3, 8))):
            at, way = draw.randint(0, len(data)), draw.randrange(6)
            end = draw.randint(at, min(len(data), at + 40))
            if way == 0:
                data = data[:at] + draw.choice(_TOKENS) + data[at:]
            elif way == 1:
                data = data[:at] + data[end:]
            elif way == 2:
                data = data[:at] + data[at:end] * draw.randint(2, 20) + data[end:]
            elif way == 3:
                data = data[:at]
            elif way == 4:
                data = data[:at] + draw.choice(_CORPUS) + data[end:]
            else:
                data = data[:at] + self._nested() + data[end:]
        return data[: 512 * 1024]

    def _nested(self) -> bytes:
        opening, closing = self.random.choice(((b"[", b"]"), (b'{"a":', b"}"), (b'{"filtered":[', b"]}")))
        depth = self.random.choices(_DEPTHS, (6, 3, 1))[0]
        ends = depth if self.random.random() < 0.8 else 7
        return opening * depth + self.random.choice((b"1", b"")) + closing * ends

    def pieces(self, data: bytes) -> Iterator[bytes]:
        size = self.random.choice((1, 2, 7, 100, 5000, 10**9))
        size = max(size, len(data) // 2000)
        at = 0
        while at < len(data):
            end = at + self.random.randint(1, size)
            yield data[at:end]
            at = end


def _request(drawn: Drawn) -> Any:
    reader = wire.RequestReader(16 * 1024)
    found: list[Any] = []
    data = drawn.mutated(_REQUEST) + drawn.mutated(b"hello world!") + drawn.mutated(_REQUEST)
    whole = reader.whole(data)
    for piece in drawn.pieces(_REQUEST + b"hello world!" + data):
        reader.feed(piece)
        for _ in range(1000):
            event = reader.next()
            found.append(_seen(event))
            if event is None:
                break
        found.append(_of_whole(reader.whole(data)))
    return _of_whole(whole), found


def _of_whole(whole: tuple[wire.RequestHead, bytes] | None) -> Any:
    return whole and (_seen(whole[0]), whole[1])


def _seen(value: Any) -> Any:
    """A head by its fields: the object would show its address."""
    if isinstance(value, wire.RequestHead):
        return [getattr(value, name) for name in _OF_A_REQUEST]
    return [getattr(value, name) for name in _OF_AN_ANSWER] if isinstance(value, wire.ResponseHead) else value


_OF_A_REQUEST = ("method", "target", "fields", "kept", "content_length", "keep_alive", "http_1_0", "expects_continue")
_OF_AN_ANSWER = ("status", "line", "fields", "lines", "content_length", "is_chunked", "keeps_alive", "is_event_stream")


def _route(drawn: Drawn) -> Any:
    line = drawn.mutated(_REQUEST).split(b" ")
    path, _, query = (line[1] if len(line) > 1 else b"").partition(b"?")
    said = [_tried(routes.route_of, line[0], path), _tried(routes.split_query, query)]
    said.append(_tried(routes.check_method, line[0]))
    shown = wire.masked(line), [wire.is_telling(part.decode("latin-1")) for part in line]
    return said, shown


def _head(drawn: Drawn) -> Any:
    reader = wire.ResponseHeadReader()
    heads = [_HEAD.rstrip(), drawn.mutated(_HEAD).rstrip(), drawn.mutated(_HEAD), _HEAD.rstrip() + b"\r\ndate: x"]
    return [_seen(_tried(reader.read, head)) for head in heads * 2]


def _chunked(drawn: Drawn) -> Any:
    reader, found = wire.ChunkedReader(), []
    for piece in drawn.pieces(drawn.mutated(_CHUNKED)):
        if reader.is_whole:
            break
        found.append(reader.feed(piece))
    return found, reader.is_whole, reader.rest


def _events(drawn: Drawn) -> Any:
    data = drawn.mutated(drawn.random.choice(_CORPUS))
    stripper = wire.UsageStripper(may_be_body=drawn.random.random() < 0.5)
    passed = b"".join(stripper.feed(piece) for piece in drawn.pieces(data)) + stripper.finish()
    return passed, [wire.data_of(event) for event in wire.split_events(data)], wire.looks_like_events(data)


def _json(drawn: Drawn) -> Any:
    data = drawn.mutated(drawn.random.choice(_CORPUS))
    scanner = wire.MemberScanner(apis.FACTS)
    for piece in drawn.pieces(data):
        scanner.feed(piece)
    reader = wire.ObjectReader(["model", "stream", "stream_options"])
    read = [_tried(reader.feed, data), _tried(reader.finish)]
    text = data.decode("latin-1")
    lenient = wire.decode_json(data), wire.mend_json(data), _tried(wire.decode_value, data), wire.close_json(text)
    return sorted(scanner.members.items()), scanner.problem, apis.digest(scanner), read, lenient


def _metering(drawn: Drawn) -> Any:
    draw = drawn.random
    surface = draw.choice((*apis.SURFACES, apis.OTHER))
    meter = metering.meter_for(
        surface,
        event_stream=draw.random() < 0.6,
        content_encoding=draw.choice(("", "", "gzip", "br")),
        keep_content=draw.random() < 0.3,
        may_be_stream=draw.random() < 0.3,
        reads_usage=draw.random() < 0.5,
        monotonic=lambda: 1.0,
    )
    data = drawn.mutated(draw.choice((_CHAT, _STREAM, _EVENTS, b'{"choices":[],"usage":%b}' % _USAGE)))
    data *= draw.choice((1, 1, 1, 60))
    for piece in drawn.pieces(gzip.compress(data, mtime=0) if draw.random() < 0.2 else data):
        meter.feed(piece)
    reading = meter.finish()
    first = [(one.text, one.calls) for one in reading.output.choices()]
    body = drawn.mutated(_BODY)
    estimate = metering.estimate(surface.name, body, reading, "gpt-4o", ended_normally=True, azure=True)
    plain = {name: getattr(reading, name) for name in reading.__struct_fields__ if name != "output"}
    record = _tried(payload.encode, msgspec.structs.replace(_RECORD, tool_usage=reading.tool_usage))
    return plain, first, estimate, meter.first_token_at, record, surface.read_answer(data)


def _bodies(drawn: Drawn) -> Any:
    body = drawn.mutated(_BODY)
    changed = [_tried(request_body.with_model, body, "other"), _tried(request_body.with_included_usage, body, {})]
    form = wire.FormReader(b"b", ["model"])
    read = [_tried(form.feed, piece) for piece in drawn.pieces(drawn.mutated(_FORM))]
    refused = providers.access_refusal(drawn.random.choice((401, 403)), drawn.mutated(_USAGE + _CHAT))
    return changed, read, _tried(form.finish), refused


def _books(drawn: Drawn) -> Any:
    encoded = drawn.mutated(payload.encode(_RECORD))
    framed = drawn.mutated(segment.frame(payload.encode(_RECORD), b"m" * 16))
    return _tried(payload.decode, encoded), _tried(payload.bare_payload, encoded), len(framed)


def _names(drawn: Drawn) -> Any:
    name = drawn.mutated(b"gpt-4o").decode("latin-1")
    return (
        _tried(lambda: _CATALOGUE.pool(name, "deployments").targets),
        _tried(_KEYS.identify, name.encode(), _RECORD.started_at),
        _tried(routes.route_of, b"GET", b"/" + name.encode()),
    )


def _foreign(drawn: Drawn) -> Any:
    """Whatever a function makes of what is not of its type, it is a Python error or a value. Builds may differ."""
    target = drawn.random.choice(_TARGETS)
    for _ in range(20):
        given = drawn.random.choices(_FOREIGN, k=drawn.random.randint(0, 4))
        _tried(target, *given, kinds=(Exception,))
    return None


def _targets() -> Iterator[Callable[..., Any]]:
    for room in (wire, apis, metering, providers):
        named = [getattr(room, name) for name in room.__all__ if name not in ("estimate_apart", "log_failure")]
        yield from (one for one in named if callable(one))
    yield from (wire.RequestReader(100).feed, wire.RequestReader(100).whole, wire.ChunkedReader().feed)
    yield from (wire.UsageStripper().feed, wire.MemberScanner({("a",): 9}).feed, wire.ResponseHeadReader().read)
    yield from (routes.route_of, routes.split_query, payload.encode, payload.decode, segment.frame, _KEYS.identify)
    yield from (_CATALOGUE.pool, request_body.with_model, request_body.with_included_usage)


def _tried(
    do: Callable[..., Any], *given: Any, kinds: tuple[type[Exception], ...] = (TokenweirError, ValueError)
) -> Any:
    """What it returns, or the error that it may raise."""
    try:
        return do(*given)
    except kinds as error:
        return type(error).__name__, f"{error}"


_RECORD = CallRecord("019ab000-0000-7000-8000-000000000001", datetime(2026, 11, 22, tzinfo=UTC), api="chat_completions")
_CATALOGUE = Catalogue([DeploymentSettings("gpt-4o", [TargetSettings("a", "one")])], {"a": "azure"}, SystemClock())
_KEYS = Keyring([CallerSettings("team", hash_key("k"))], [])
_TARGETS = list(_targets())
_WAYS = (_request, _route, _head, _chunked, _events, _json, _metering, _bodies, _books, _names, _foreign)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.border", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    given = parser.parse_args(arguments)
    print(f"seed {given.seed}; core: {running_build()}", flush=True)
    logging.disable()
    digest, outcomes = hashlib.sha256(), Counter[str]()
    for number in range(given.rounds):
        way = _WAYS[number % len(_WAYS)]
        drawn = Drawn(f"{given.seed} {number}")
        try:
            outcome = repr(way(drawn))
        except (TokenweirError, ValueError) as error:
            outcome = f"{type(error).__name__}: {error}"
        except BaseException:
            print(f"round {number} of seed {given.seed}: {way.__name__}", file=sys.stderr)
            raise
        outcomes[way.__name__.lstrip("_")] += 1
        digest.update(outcome.encode(errors="backslashreplace"))
    print(f"{given.rounds} rounds: " + ", ".join(f"{count} {name}" for name, count in outcomes.items()))
    print(f"digest {digest.hexdigest()}")
    return 0


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of a set is part of what is digested
        again = [sys.executable, "-m", "benchmarks.border", *sys.argv[1:]]
        os.execve(sys.executable, again, {**os.environ, "PYTHONHASHSEED": "0"})
    sys.exit(main())
