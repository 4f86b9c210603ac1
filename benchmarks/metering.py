"""``python -m benchmarks.metering``: what metering adds to a call, by itself: µs of CPU a call and a streamed event.

Each answer is shown to the meter that a relay gives it, in the pieces in which it comes, and asked for what was used.
Neither sockets, nor the relay, nor the record are in the numbers. Answers take turns, the least time of all rounds
counts; the loop that does everything but meter is subtracted.
"""

import argparse
import gc
import json
import sys
from collections.abc import Callable, Sequence
from time import monotonic, process_time

from tokenweir.apis import surface_of
from tokenweir.build import running_build
from tokenweir.metering import NO_MEASUREMENT, RequestMessages, SocketMeter, UsedOnSocket, meter_for
from tokenweir.wire import FrameReader

from .frames import EVENTS, Answer, Script
from .machine import describe_machine

_TIMES = 100
_USAGE = {"input_tokens": 96, "output_tokens": 65, "total_tokens": 161}


class _NoBooks:
    """Forgets what was used."""

    def used(self, used: UsedOnSocket) -> None: ...


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.metering", description="What metering adds to a call.")
    parser.add_argument("--rounds", type=int, default=40, help="[%(default)s]")
    least = _measure(parser.parse_args(arguments).rounds)
    for name, value in describe_machine().items():
        print(f"- {name}: {value}")
    print(f"- build: {'compiled' if running_build().compiled else 'pure Python'}\n")
    print("| metered | events | CPU µs a call | CPU µs an event |\n|---|--:|--:|--:|")
    for name, (events, _) in _ANSWERS.items():
        call = (least[name] - least["nothing"]) * 1e6
        print(f"| {name} | {events or ''} | {call:.1f} | {f'{call / events:.2f}' if events else ''} |")
    return 0


def _measure(rounds: int) -> dict[str, float]:
    """Seconds of CPU a call."""
    calls = {"nothing": _nothing, **{name: call for name, (_, call) in _ANSWERS.items()}}
    for call in calls.values():
        call()
    gc.collect()
    gc.freeze()
    least = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds):
        for name, call in calls.items():
            began = process_time()
            for _ in range(_TIMES):
                call()
            least[name] = min(least[name], (process_time() - began) / _TIMES)
    return least


def _nothing() -> object:
    return NO_MEASUREMENT


def _answer(api: str, pieces: Sequence[bytes], *, is_stream: bool) -> Callable[[], object]:
    surface = surface_of(api)

    def call() -> object:
        meter = meter_for(surface, event_stream=is_stream, content_encoding="", keep_content=False, monotonic=monotonic)
        for piece in pieces:
            meter.feed(piece)
        return meter.finish()

    return call


def _socket(api: str, frames: Sequence[bytes]) -> Callable[[], object]:
    surface = surface_of(api)

    def call() -> object:
        requests = RequestMessages(monotonic, False) if surface.paths else None
        meter = SocketMeter(surface, _NoBooks(), requests, unpacks=False, keep_content=False, monotonic=monotonic)
        reader = FrameReader(meter)
        for frame in frames:
            reader.feed(frame)
        return meter.session()

    return call


def _body(head_and_body: bytes) -> bytes:
    return head_and_body.partition(b"\r\n\r\n")[2]


def _event(**members: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (
        str(members["type"]).encode(),
        json.dumps(members, separators=(",", ":")).encode(),
    )


def _frame(**members: object) -> bytes:
    payload = json.dumps(members, separators=(",", ":")).encode()
    size = len(payload)
    head = bytes([0x81, size]) if size < 126 else b"\x81\x7e" + size.to_bytes(2, "big")
    return head + payload


def _chat() -> list[bytes]:
    """Without the chunked coding, which is not the meter's business."""
    answer = Answer(Script(stream=True, include_usage=True))
    writes = [answer.at(number) for number in range(answer.writes)]
    chunks = [_body(writes[0]), *writes[1:]]
    return [chunk.partition(b"\r\n")[2].rpartition(b"\r\n")[0] for chunk in chunks]


_DELTA = {"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "content_index": 0}
_DONE = {"id": "resp_1", "model": "gpt-5", "status": "completed", "usage": _USAGE, "output": []}
_RESPONSES = [
    _event(type="response.created", response={"id": "resp_1", "model": "gpt-5", "status": "in_progress"}),
    *(_event(**_DELTA, delta=" weir", sequence_number=number) for number in range(EVENTS - 2)),
    _event(type="response.completed", response=_DONE),
]
_CLAUDE = [
    _event(
        type="message_start",
        message={
            "id": "msg_1",
            "type": "message",
            "model": "claude",
            "usage": {"input_tokens": 96, "output_tokens": 1},
        },
    ),
    *(
        _event(type="content_block_delta", index=0, delta={"type": "text_delta", "text": " weir"})
        for _ in range(EVENTS - 3)
    ),
    _event(type="message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 65}),
    _event(type="message_stop"),
]
_SOUND = [
    _frame(type="response.created", response={"id": "resp_1"}),
    *(_frame(type="response.output_audio.delta", response_id="resp_1", delta="A" * 3200) for _ in range(EVENTS - 2)),
    _frame(type="response.done", response={**_DONE, "object": "realtime.response"}),
]
_EMBEDDING = json.dumps(
    {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.01234567] * 1536}],
        "model": "text-embedding-3-small",
        "usage": {"prompt_tokens": 96, "total_tokens": 96},
    }
).encode()

_ANSWERS: dict[str, tuple[int, Callable[[], object]]] = {
    "a chat, 1.4 KB": (0, _answer("chat_completions", [_body(Answer(Script()).whole)], is_stream=False)),
    "an embedding, 20 KB": (0, _answer("embeddings", [_EMBEDDING], is_stream=False)),
    "a chat, streamed": (EVENTS, _answer("chat_completions", _chat(), is_stream=True)),
    "Responses, streamed": (EVENTS, _answer("responses", _RESPONSES, is_stream=True)),
    "Claude, streamed": (EVENTS, _answer("messages", _CLAUDE, is_stream=True)),
    "realtime, frames with 3.2 KB of sound": (EVENTS, _socket("realtime", _SOUND)),
}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
