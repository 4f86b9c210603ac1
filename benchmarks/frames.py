"""The bytes that travel: one request, one answer and one stream, shaped like Azure OpenAI's, encoded once."""

import json
import re
from dataclasses import dataclass
from functools import cached_property

__all__ = ["API_KEY", "DEPLOYMENT", "EVENTS", "Answer", "Script", "request"]

API_KEY = "bench-key-4f1d8a2c6b7e"
DEPLOYMENT = "gpt-4o"
EVENTS = 69
"""Events of a whole stream as its client sees it: filter results, role, content, finish reason, [DONE]."""

_PATH = f"/openai/deployments/{DEPLOYMENT}/chat/completions?api-version=2024-10-21"
_MODEL = "gpt-4o-2024-11-20"
_CREATED = 1774962746
_ID = "chatcmpl-DPTBKC5U7aQYydhXIGw4HbPc0HcVT"
_SAFE = {"filtered": False, "severity": "safe"}
_FILTERED = dict.fromkeys(("hate", "self_harm", "sexual", "violence"), _SAFE)
_PROMPT_FILTERED = [{"prompt_index": 0, "content_filter_results": _FILTERED}]
_USAGE = {
    "completion_tokens": 65,
    "completion_tokens_details": {"audio_tokens": 0, "reasoning_tokens": 0},
    "prompt_tokens": 96,
    "prompt_tokens_details": {"audio_tokens": 0, "cached_tokens": 0},
    "total_tokens": 161,
}
_PROMPT = (
    "You are the assistant of a hydrology department. Answer in plain words, name the instrument you would "
    "use, and say what could make its reading wrong. Keep to two paragraphs."
)
_QUESTION = (
    "We want to know how much water passes a small stream between two meadows over the year. The bed is "
    "gravel, two metres wide, and it nearly falls dry in August. What do we build, and how do we read it?"
)
_SENTENCE = (
    "A thin-plate weir with a V-notch measures small flows well, because the head rises quickly with little "
    "water. Set it square to the stream, keep the pool behind it free of gravel, and read the head at some "
    "distance upstream, where the surface has not begun to fall. "
)
_HEAD = (
    b"HTTP/1.1 200 OK\r\n"
    b"Content-Type: %b\r\n"
    b"apim-request-id: f93b3050-42ab-44dd-936f-7bc80fba2799\r\n"
    b"Strict-Transport-Security: max-age=31536000; includeSubDomains; preload\r\n"
    b"x-content-type-options: nosniff\r\n"
    b"x-ms-deployment-name: gpt-4o\r\n"
    b"x-ms-rai-invoked: true\r\n"
    b"x-ms-region: Sweden Central\r\n"
    b"x-ratelimit-limit-requests: 6000\r\n"
    b"x-ratelimit-limit-tokens: 600000\r\n"
    b"x-ratelimit-remaining-requests: 5999\r\n"
    b"x-ratelimit-remaining-tokens: 599986\r\n"
    b"x-request-id: 13ca6804-8e49-485c-a60b-559c68c76671\r\n"
    b"Date: Tue, 31 Mar 2026 13:12:27 GMT\r\n"
)
_LAST_CHUNK = b"0\r\n\r\n"

_SCRIPT = re.compile(rb'"user": ?"bench (\d+) events, (\d+) us apart"')
_STREAM = re.compile(rb'"stream": ?true')
_INCLUDE_USAGE = re.compile(rb'"include_usage": ?true')


@dataclass(frozen=True)
class Script:
    """What the upstream is to answer. It travels in the request's ``user`` field."""

    stream: bool = False
    events: int = EVENTS
    interval: float = 0.0
    """Seconds between two events of one stream; 0: as fast as they are taken."""
    include_usage: bool = False
    """Asked by the gateway only: the load client never does."""

    @classmethod
    def read(cls, body: bytes) -> "Script":
        """The script in a request's body, whoever re-encoded it on the way."""
        found = _SCRIPT.search(body)
        if found is None:
            raise ValueError(f"no script in the request: {body[:200]!r}")
        return cls(
            stream=_STREAM.search(body) is not None,
            events=int(found[1]),
            interval=int(found[2]) / 1e6,
            include_usage=_INCLUDE_USAGE.search(body) is not None,
        )

    @property
    def body(self) -> bytes:
        fields = {
            "messages": [{"role": "system", "content": _PROMPT}, {"role": "user", "content": _QUESTION}],
            "model": DEPLOYMENT,
            "max_tokens": 400,
            "temperature": 0.2,
            "user": f"bench {self.events} events, {round(self.interval * 1e6)} us apart",
        }
        return json.dumps(fields | ({"stream": True} if self.stream else {})).encode()


def request(script: Script) -> tuple[str, dict[str, str], bytes]:
    """Path, headers and body of the one request that is sent over and over."""
    body = script.body
    headers = {"api-key": API_KEY, "content-type": "application/json", "content-length": str(len(body))}
    return _PATH, headers, body


class Answer:
    """A script's answer as the upstream writes it: ``whole``, or ``at(0)`` to ``at(writes - 1)``."""

    def __init__(self, script: Script) -> None:
        self.script = script
        usage = [_event(_json(_shell("chat.completion.chunk") | {"choices": [], "usage": _USAGE}))]
        self._closing = [
            self._chunk({}, "stop"),
            *(usage if script.include_usage else []),
            _event(b"[DONE]") + _LAST_CHUNK,
        ]
        self._contents = [self._chunk({"content": word}, None) for word in _SENTENCE.split(" ")]
        self._closing_at = script.events - 2
        self.writes = self._closing_at + len(self._closing)

    def at(self, index: int) -> bytes:
        """The stream's write number ``index``: one event, the first with the head before it."""
        if index == 0:
            return self.first
        if index < self._closing_at:
            return self._contents[index % len(self._contents)]
        return self._closing[index - self._closing_at]

    @cached_property
    def whole(self) -> bytes:
        """Head and body of an answer that is not streamed; the body is about 1.4 KB."""
        message: dict[str, object] = {
            "annotations": [],
            "content": _SENTENCE.strip(),
            "refusal": None,
            "role": "assistant",
        }
        choice = {
            "content_filter_results": _FILTERED
            | {"protected_material_code": {"detected": False, "filtered": False}}
            | {"protected_material_text": {"detected": False, "filtered": False}},
            "finish_reason": "stop",
            "index": 0,
            "logprobs": None,
            "message": message,
        }
        fields = _shell("chat.completion") | {
            "choices": [choice],
            "prompt_filter_results": _PROMPT_FILTERED,
            "usage": _USAGE,
        }
        body = _json(fields)
        return _HEAD % b"application/json" + b"Content-Length: %d\r\n\r\n" % len(body) + body

    @cached_property
    def first(self) -> bytes:
        """Head and first event of a stream."""
        fields = {"choices": [], "created": 0, "id": "", "model": "", "object": ""}
        head = _HEAD % b"text/event-stream; charset=utf-8" + b"Transfer-Encoding: chunked\r\n\r\n"
        return head + _event(_json(fields | {"prompt_filter_results": _PROMPT_FILTERED}))

    def _chunk(self, delta: dict[str, str], finish_reason: str | None) -> bytes:
        choice = {
            "content_filter_results": {},
            "delta": delta,
            "finish_reason": finish_reason,
            "index": 0,
            "logprobs": None,
        }
        fields = _shell("chat.completion.chunk") | {"choices": [choice], "obfuscation": "8qOy2YD"}
        # Azure, once asked for usage, says "usage": null in every chunk but the last.
        return _event(_json(fields | ({"usage": None} if self.script.include_usage else {})))


def _shell(kind: str) -> dict[str, object]:
    return {
        "created": _CREATED,
        "id": _ID,
        "model": _MODEL,
        "object": kind,
        "system_fingerprint": "fp_b6f445fc1c",
    }


def _json(fields: dict[str, object]) -> bytes:
    return json.dumps(fields, separators=(",", ":"), sort_keys=True).encode()


def _event(data: bytes) -> bytes:
    event = b"data: " + data + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(event), event)
