"""Azure's JSON: the frames of a stream and the bodies of whole answers, member for member as recorded."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import msgspec

from .said import Answer, Choice, ToolCall

__all__ = ["Frames", "log_probabilities", "whole_answer"]

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
    service_tier: str | None = None
    alternatives: int | None = None
    """How many alternatives each token's log probability comes with; None: none are told."""

    def prompt_filter(self) -> bytes:
        """The first frame of a filtered stream; who takes the model from it is left with nothing."""
        frame = {"choices": [], "created": 0, "id": "", "model": "", "object": ""}
        return _encode(frame | {"prompt_filter_results": _PROMPT_FILTER})

    def role(self, choice: Choice) -> bytes:
        content = None if choice.tool_calls else ""
        delta: dict[str, Any] = {"content": content, "refusal": None, "role": "assistant"}
        return self._delta(choice.index, delta, results={})

    def text(self, choice: Choice) -> tuple[bytes, bytes]:
        """What stands before and after the text in each frame of a choice that tells no probabilities."""
        before, after = self.worded(choice, (_HOLE,), 0).split(_ESCAPED_HOLE)
        return before, after

    def worded(self, choice: Choice, words: Sequence[str], start: int) -> bytes:
        """A frame with words of a choice, which begin at this character of its text; with their probabilities."""
        results: dict[str, Any] = {} if self.async_filter else _CATEGORIES
        text = "".join(words)
        said = {"delta": {"refusal" if choice.refused else "content": text}} if self.chat else {"text": text}
        told = self._choice(choice.index, said, results)
        told["logprobs"] = log_probabilities(words, self.alternatives, start, chat=self.chat)
        return self._frame([told])

    def tool_call(self, index: int, number: int, call: ToolCall) -> bytes:
        """The frame that opens a tool call: id, name, and no arguments yet."""
        opening = {**_called(call, ""), "id": call.id, "index": number}
        return self._delta(index, {"tool_calls": [opening]}, results={})

    def arguments(self, index: int, number: int, call: ToolCall, text: str) -> bytes:
        written = {"custom": {"input": text}} if call.custom else {"function": {"arguments": text}}
        more = {**written, "index": number}
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
        if self.service_tier is not None:
            frame["service_tier"] = self.service_tier
        if self.obfuscation:
            frame["obfuscation"] = _PAD[: 1 + len(_encode(choices)) % len(_PAD)]
        if self.null_usage:
            frame["usage"] = None
        return _encode(frame | more)


def log_probabilities(
    words: Sequence[str], alternatives: int | None, start: int, *, chat: bool
) -> dict[str, Any] | None:
    """What is told of each token where ``logprobs`` asks for it: made up, and the same for the same token."""
    if alternatives is None:
        return None
    told = [(word, -(1 + len(word)) / 100) for word in words]
    if chat:
        content = [
            {
                **_probability(word, probability),
                "top_logprobs": [_probability(word, probability - rank) for rank in range(alternatives)],
            }
            for word, probability in told
        ]
        return {"content": content, "refusal": None}
    ends = list(accumulate((len(word) for word in words), initial=start))
    return {
        "tokens": list(words),
        "token_logprobs": [probability for _, probability in told],
        "top_logprobs": [{word: probability} for word, probability in told] if alternatives else None,
        "text_offset": ends[:-1],
    }


def _probability(word: str, probability: float) -> dict[str, Any]:
    return {"token": word, "bytes": list(word.encode()), "logprob": probability}


def _called(call: ToolCall, arguments: str) -> dict[str, Any]:
    if call.custom:
        return {"type": "custom", "custom": {"name": call.name, "input": arguments}}
    return {"type": "function", "function": {"name": call.name, "arguments": arguments}}


def whole_answer(answer: Answer, frames: Frames, usage: dict[str, Any] | None) -> dict[str, Any]:
    """The body of an answer that is not streamed."""
    body: dict[str, Any] = {
        "choices": [_whole_choice(choice, frames) for choice in answer.choices],
        "created": frames.created,
        "id": frames.id,
        "model": answer.model,
        "object": "chat.completion" if frames.chat else "text_completion",
        "system_fingerprint": _FINGERPRINT,
    }
    if frames.service_tier is not None:
        body["service_tier"] = frames.service_tier
    if frames.filters:
        body["prompt_filter_results"] = _PROMPT_FILTER
    if usage is not None:
        body["usage"] = usage
    return body


def _whole_choice(choice: Choice, frames: Frames) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if frames.filters:
        blocked = choice.finish_reason == "content_filter"
        made["content_filter_results"] = _BLOCKED if blocked else _CATEGORIES
    probabilities = log_probabilities(choice.words, frames.alternatives, 0, chat=frames.chat)
    made |= {"finish_reason": choice.finish_reason, "index": choice.index, "logprobs": probabilities}
    if not frames.chat:
        return made | {"text": choice.text}
    message: dict[str, Any] = {"annotations": [], "content": choice.text, "refusal": None, "role": "assistant"}
    if choice.refused:
        message |= {"content": None, "refusal": choice.text}
    if choice.tool_calls:
        message["content"] = None
        message["tool_calls"] = [{**_called(call, call.arguments), "id": call.id} for call in choice.tool_calls]
    return made | {"message": message}
