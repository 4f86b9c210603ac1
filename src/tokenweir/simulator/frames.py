"""Azure's JSON: the frames of a stream and the bodies of whole answers, member for member as recorded."""

from collections.abc import Sequence
from typing import Any

import msgspec

from .said import Answer, Choice, ToolCall

__all__ = ["Frames", "whole_answer"]

_SAFE = {"filtered": False, "severity": "safe"}
_UNDETECTED = {"filtered": False, "detected": False}
_CATEGORIES: dict[str, Any] = {"hate": _SAFE, "self_harm": _SAFE, "sexual": _SAFE, "violence": _SAFE}
_BLOCKED = _CATEGORIES | {"violence": {"filtered": True, "severity": "medium"}}
_PROMPT_FILTER = [{"prompt_index": 0, "content_filter_results": {"jailbreak": _UNDETECTED} | _CATEGORIES}]

_FINGERPRINT = "fp_efad92c60b"
_PAD = "8A9QeP6Ei67G4fcZrWJip7ud4gd2DENFnJr"
_LATENCY = {
    "engine_tbt_ms": 10,
    "engine_ttft_ms": 80,
    "engine_ttlt_ms": 320,
    "pre_inference_ms": 82,
    "service_tbt_ms": 10,
    "service_ttft_ms": 664,
    "service_ttlt_ms": 886,
    "total_duration_ms": 811,
    "user_visible_ttft_ms": 582,
}

# JSON has no way to write this inside a string but as this escape, so a frame can be cut there.
_HOLE, _ESCAPED_HOLE = "\x00", b"\\u0000"

_encode = msgspec.json.encode


class Frames(msgspec.Struct, frozen=True, kw_only=True):
    """The frames of one stream, without their ``data:``. Text comes in already escaped for JSON."""

    chat: bool
    id: str
    created: int
    model: str
    filters: bool
    async_filter: bool
    obfuscation: bool
    latency: bool
    null_usage: bool
    """Whether frames that carry no usage say so, as they do where usage was asked for."""

    def prompt_filter(self) -> bytes:
        """The first frame of a filtered stream; who takes the model from it is left with nothing."""
        frame = {"choices": [], "created": 0, "id": "", "model": "", "object": ""}
        return _encode(frame | {"prompt_filter_results": _PROMPT_FILTER})

    def role(self, choice: Choice) -> bytes:
        content = None if choice.tool_calls else ""
        delta: dict[str, Any] = {"content": content, "refusal": None, "role": "assistant"}
        return self._delta(choice.index, delta, results={})

    def text(self, index: int) -> tuple[bytes, bytes]:
        """What stands before and after the text in each frame of a choice."""
        results: dict[str, Any] = {} if self.async_filter else _CATEGORIES
        if self.chat:
            frame = self._delta(index, {"content": _HOLE}, results)
        else:
            frame = self._frame([self._choice(index, {"text": _HOLE}, results)])
        before, after = frame.split(_ESCAPED_HOLE)
        return before, after

    def tool_call(self, index: int, number: int, call: ToolCall) -> bytes:
        """The frame that opens a tool call: id, name, and no arguments yet."""
        function = {"arguments": "", "name": call.name}
        opening = {"function": function, "id": call.id, "index": number, "type": "function"}
        return self._delta(index, {"tool_calls": [opening]}, results={})

    def arguments(self, index: int, number: int, text: str) -> bytes:
        more = {"function": {"arguments": text}, "index": number}
        return self._delta(index, {"tool_calls": [more]}, results={})

    def finish(self, choice: Choice) -> bytes:
        blocked = choice.finish_reason == "content_filter"
        results = _BLOCKED if blocked and not self.async_filter else {}
        said: dict[str, Any] = {"delta": {}} if self.chat else {"text": ""}
        return self._frame([self._choice(choice.index, said, results, choice.finish_reason)])

    def offsets(self, index: int, start: int, end: int, finish_reason: str | None = None) -> bytes:
        """An asynchronous filter's result for the characters in between: a choice without a delta."""
        choice = {
            "content_filter_offsets": {"check_offset": end, "end_offset": end, "start_offset": start},
            "content_filter_results": _BLOCKED if finish_reason else _CATEGORIES,
            "finish_reason": finish_reason,
            "index": index,
        }
        return _encode({"choices": [choice], "created": 0, "id": "", "model": "", "object": ""})

    def usage(self, answer: Answer) -> bytes:
        more: dict[str, Any] = {"latency_checkpoint": _LATENCY} if self.latency else {}
        return self._frame([], usage=answer.usage(), **more)

    def _delta(self, index: int, delta: dict[str, Any], results: dict[str, Any]) -> bytes:
        return self._frame([self._choice(index, {"delta": delta}, results)])

    def _choice(
        self, index: int, said: dict[str, Any], results: dict[str, Any], finish_reason: str | None = None
    ) -> dict[str, Any]:
        choice = {**said, "finish_reason": finish_reason, "index": index, "logprobs": None}
        return {"content_filter_results": results, **choice} if self.filters else choice

    def _frame(self, choices: Sequence[dict[str, Any]], **more: Any) -> bytes:
        frame: dict[str, Any] = {
            "choices": choices,
            "created": self.created,
            "id": self.id,
            "model": self.model,
            "object": "chat.completion.chunk" if self.chat else "text_completion",
            "system_fingerprint": _FINGERPRINT,
        }
        if self.obfuscation:
            frame["obfuscation"] = _PAD[: 1 + len(_encode(choices)) % len(_PAD)]
        if self.null_usage:
            frame["usage"] = None
        return _encode(frame | more)


def whole_answer(
    answer: Answer, *, chat: bool, id: str, created: int, filters: bool, usage: dict[str, Any] | None
) -> dict[str, Any]:
    """The body of an answer that is not streamed."""
    body: dict[str, Any] = {
        "choices": [_whole_choice(choice, chat=chat, filters=filters) for choice in answer.choices],
        "created": created,
        "id": id,
        "model": answer.model,
        "object": "chat.completion" if chat else "text_completion",
        "system_fingerprint": _FINGERPRINT,
    }
    if filters:
        body["prompt_filter_results"] = _PROMPT_FILTER
    if usage is not None:
        body["usage"] = usage
    return body


def _whole_choice(choice: Choice, *, chat: bool, filters: bool) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if filters:
        blocked = choice.finish_reason == "content_filter"
        made["content_filter_results"] = _BLOCKED if blocked else _CATEGORIES
    made |= {"finish_reason": choice.finish_reason, "index": choice.index, "logprobs": None}
    if not chat:
        return made | {"text": choice.text}
    message: dict[str, Any] = {"annotations": [], "content": choice.text, "refusal": None}
    message["role"] = "assistant"
    if choice.tool_calls:
        message["content"] = None
        message["tool_calls"] = [
            {
                "function": {"arguments": call.arguments, "name": call.name},
                "id": call.id,
                "type": "function",
            }
            for call in choice.tool_calls
        ]
    return made | {"message": message}
