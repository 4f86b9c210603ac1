"""The output of a response: its items, and the events by which they come one after the other in a stream."""

from collections.abc import Iterator
from typing import Any

import msgspec

from .frames import log_probabilities
from .pieces import ReplyPiece
from .said import Answer, Choice, ToolCall
from .script import Script

__all__ = ["OutputItem", "output_items"]

Event = tuple[dict[str, Any], ReplyPiece]

# What a built-in tool's call says of itself, beside its id and status.
_SERVER_TOOLS: dict[str, dict[str, Any]] = {
    "web_search": {"action": {"type": "search", "query": "river", "sources": []}},
    "file_search": {"queries": ["river"], "results": None},
    "code_interpreter": {"code": "1 + 1", "container_id": "cntr_simulated", "outputs": []},
    "image_generation": {"result": "iVBORw0KGgo="},
}
_AT_WORK = {
    "web_search": "searching",
    "file_search": "searching",
    "code_interpreter": "interpreting",
    "image_generation": "generating",
}


class OutputItem(msgspec.Struct, frozen=True):
    """One item of a response's output, and the choice, call or tool that it is made of."""

    whole: dict[str, Any]
    source: Choice | ToolCall | None = None

    def events(self, index: int, script: Script, alternatives: int | None) -> Iterator[Event]:
        """From ``response.output_item.added`` to ``response.output_item.done``."""
        place = {"output_index": index, "item_id": self.whole["id"]}
        begun = self.whole | {"status": "in_progress"} if "status" in self.whole else self.whole
        inner: Iterator[Event] = iter(())
        visible = 0
        if isinstance(self.source, Choice):
            begun = begun | {"content": []}
            inner = _text_events(self.source, place, script, alternatives)
        elif isinstance(self.source, ToolCall):
            begun = begun | {"input" if self.source.custom else "arguments": ""}
            inner = _argument_events(self.source, place, script)
            visible = self.source.name_tokens
        elif (tool := str(self.whole["type"]).removesuffix("_call")) in _AT_WORK:
            steps = ("in_progress", _AT_WORK[tool], "completed")
            inner = (({"type": f"response.{tool}_call.{step}", **place}, ReplyPiece(b"")) for step in steps)
        yield {"type": "response.output_item.added", "output_index": index, "item": begun}, ReplyPiece(b"", visible)
        yield from inner
        yield {"type": "response.output_item.done", "output_index": index, "item": self.whole}, ReplyPiece(b"")


def output_items(answer: Answer, tools: list[str], id: str, alternatives: int | None) -> list[OutputItem]:
    """Reasoning, calls of built-in ``tools``, then calls of the caller's or the text. ``id`` makes theirs."""
    items = [OutputItem({"id": f"rs_{id}", "type": "reasoning", "summary": []})] if answer.reasoning_tokens else []
    for number, tool in enumerate(tools):
        named = {"id": f"{tool[:2]}_{id}{number:02x}", "type": f"{tool}_call", "status": "completed"}
        items.append(OutputItem(named | _SERVER_TOOLS.get(tool, {})))
    for choice in answer.choices:
        items += [OutputItem(_called(call, number, id), call) for number, call in enumerate(choice.tool_calls)]
        if not choice.tool_calls:
            status = "incomplete" if choice.finish_reason != "stop" else "completed"
            part = _part(choice, choice.text, _probabilities(choice.words, alternatives))
            message = {"id": f"msg_{id}", "type": "message", "role": "assistant", "status": status, "content": [part]}
            items.append(OutputItem(message, choice))
    return items


def _called(call: ToolCall, number: int, id: str) -> dict[str, Any]:
    shared = {"call_id": call.id, "name": call.name, "status": "completed"}
    if call.custom:
        return {"id": f"ctc_{id}{number:02x}", "type": "custom_tool_call", "input": call.arguments, **shared}
    return {"id": f"fc_{id}{number:02x}", "type": "function_call", "arguments": call.arguments, **shared}


def _part(choice: Choice, text: str, probabilities: list[dict[str, Any]]) -> dict[str, Any]:
    if choice.refused:
        return {"type": "refusal", "refusal": text}
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": probabilities}


def _probabilities(words: tuple[str, ...], alternatives: int | None) -> list[dict[str, Any]]:
    told = log_probabilities(words, alternatives, 0, chat=True)
    return told["content"] if told is not None else []


def _text_events(choice: Choice, place: dict[str, Any], script: Script, alternatives: int | None) -> Iterator[Event]:
    place = {**place, "content_index": 0}
    kind = "refusal" if choice.refused else "output_text"
    size = script.chunk_tokens or 1
    delay = float(script.chunk_delay) or None
    yield {"type": "response.content_part.added", **place, "part": _part(choice, "", [])}, ReplyPiece(b"")
    for first in range(0, len(choice.words), size):
        words = choice.words[first : first + size]
        delta = {"type": f"response.{kind}.delta", **place, "delta": "".join(words)}
        if not choice.refused:
            delta["logprobs"] = _probabilities(words, alternatives)
        yield delta, ReplyPiece(b"", len(words), delay=delay)
    part = _part(choice, choice.text, _probabilities(choice.words, alternatives))
    said = {"refusal": choice.text} if choice.refused else {"text": choice.text, "logprobs": part["logprobs"]}
    yield {"type": f"response.{kind}.done", **place, **said}, ReplyPiece(b"")
    yield {"type": "response.content_part.done", **place, "part": part}, ReplyPiece(b"")


def _argument_events(call: ToolCall, place: dict[str, Any], script: Script) -> Iterator[Event]:
    kind, member = ("custom_tool_call_input", "input") if call.custom else ("function_call_arguments", "arguments")
    size = script.chunk_tokens or 1
    delay = float(script.chunk_delay) or None
    for first in range(0, len(call.pieces), size):
        chunk = call.pieces[first : first + size]
        delta = "".join(text for text, _ in chunk)
        visible = sum(tokens for _, tokens in chunk)
        yield {"type": f"response.{kind}.delta", **place, "delta": delta}, ReplyPiece(b"", visible, delay=delay)
    named = {} if call.custom else {"name": call.name}
    yield {"type": f"response.{kind}.done", **place, member: call.arguments, **named}, ReplyPiece(b"")
