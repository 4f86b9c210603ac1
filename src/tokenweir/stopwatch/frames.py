"""What one event of a stream says: chat completions, completions and responses alike, read leniently.

Shares no code with the gateway's meter, so that a fault in one does not hide in the other.
"""

from typing import Any, Literal

import msgspec

from ..wire import data_of, decode_json

__all__ = ["BOM", "Frame", "FrameKind", "error_message", "read_chunk", "read_event"]

FrameKind = Literal[
    "text", "tool", "reasoning", "role", "filter", "finish", "usage", "progress", "error", "done", "comment", "broken"
]
"""``text``, ``tool`` and ``reasoning`` are what the model wrote. ``progress`` is what the Responses API says between
them, ``comment`` an event without data, ``broken`` one that no client of these APIs can read."""

BOM = b"\xef\xbb\xbf"

_OUTPUT = ("text", "tool", "reasoning")

_FIELDS = (b"data", b"event", b"id", b"retry")

_RESPONSES: dict[str, FrameKind] = {
    "response.output_text.delta": "text",
    "response.refusal.delta": "text",
    "response.audio.transcript.delta": "text",
    "response.function_call_arguments.delta": "tool",
    "response.custom_tool_call_input.delta": "tool",
    "response.mcp_call_arguments.delta": "tool",
    "response.code_interpreter_call_code.delta": "tool",
    "response.reasoning_text.delta": "reasoning",
    "response.reasoning_summary_text.delta": "reasoning",
    "response.completed": "finish",
    "response.incomplete": "finish",
    "response.failed": "error",
    "error": "error",
}


class Frame(msgspec.Struct, frozen=True):
    """What an event amounts to."""

    kind: FrameKind
    text: str = ""
    """What the model wrote, or a word about the rest."""
    finish: str | None = None
    """Why the model stopped."""
    usage: dict[str, Any] | None = None
    model: str | None = None

    @property
    def is_output(self) -> bool:
        return self.kind in _OUTPUT


def read_event(event: bytes) -> Frame:
    """A server-sent event, from its first line to its empty one."""
    event = event.removeprefix(BOM)
    lines = [line for line in event.splitlines() if line]
    if any(line.partition(b":")[0] not in (b"", *_FIELDS) for line in lines):
        return Frame("broken", "not server-sent events")
    if not any(line.startswith(b"data") for line in lines):
        return Frame("comment", lines[0].decode(errors="replace") if lines else "")
    data = data_of(event)
    return Frame("done", "[DONE]") if data.strip() == b"[DONE]" else read_chunk(data)


def read_chunk(data: bytes) -> Frame:
    """An event's data."""
    chunk = decode_json(data)
    if not isinstance(chunk, dict):
        return Frame("broken", "the data is not a JSON object")
    if isinstance(chunk.get("type"), str) and (chunk["type"].startswith("response.") or chunk["type"] == "error"):
        return _response(chunk)
    if chunk.get("error") is not None or "statusCode" in chunk:
        return Frame("error", error_message(chunk))
    return _completion(chunk)


def _completion(chunk: dict[str, Any]) -> Frame:
    usage, model = chunk.get("usage"), chunk.get("model")
    usage = usage if isinstance(usage, dict) else None
    model = model if isinstance(model, str) and model else None
    choices = [choice for choice in _list(chunk.get("choices")) if isinstance(choice, dict)]
    if not choices:
        if usage is not None:
            return Frame("usage", usage=usage, model=model)
        return Frame("filter" if "prompt_filter_results" in chunk else "progress", model=model)
    finish = next((choice["finish_reason"] for choice in choices if choice.get("finish_reason")), None)
    kind, text = next((said for said in map(_said, choices) if said[1]), ("role", ""))
    if kind == "role" and finish is not None:
        kind, text = "finish", str(finish)
    elif kind == "role" and all("delta" not in choice and "text" not in choice for choice in choices):
        kind = "filter"
    return Frame(kind, text, str(finish) if finish is not None else None, usage, model)


def _said(choice: dict[str, Any]) -> tuple[FrameKind, str]:
    """What the model wrote in one choice."""
    if text := _text(choice.get("text")):
        return "text", text
    delta = choice.get("delta")
    if not isinstance(delta, dict):
        return "role", ""
    if text := _text(delta.get("content")) or _text(delta.get("refusal")):
        return "text", text
    if text := _text(delta.get("reasoning_content")) or _text(delta.get("reasoning")):
        return "reasoning", text
    calls = [call for call in (*_list(delta.get("tool_calls")), delta.get("function_call")) if isinstance(call, dict)]
    for call in calls:
        function = call.get("function") or call.get("custom") or call
        if isinstance(function, dict):
            told = (function.get("name"), function.get("arguments"), function.get("input"))
            if text := "".join(map(_text, told)):
                return "tool", text
    return "role", ""


def _response(chunk: dict[str, Any]) -> Frame:
    name: str = chunk["type"]
    kind = _RESPONSES.get(name, "progress")
    if kind in _OUTPUT:
        return Frame(kind, _text(chunk.get("delta")))
    whole = chunk.get("response")
    whole = whole if isinstance(whole, dict) else {}
    usage, model = whole.get("usage"), whole.get("model")
    if kind == "error":
        return Frame("error", error_message(whole if whole.get("error") else chunk))
    return Frame(
        kind,
        name,
        finish=name.removeprefix("response.") if kind == "finish" else None,
        usage=usage if isinstance(usage, dict) else None,
        model=model if isinstance(model, str) else None,
    )


def error_message(chunk: dict[str, Any]) -> str:
    """What an error says, in OpenAI's shape, in API Management's, or as a bare text."""
    error = chunk.get("error")
    told = error if isinstance(error, dict) else chunk
    return _text(told.get("message")) or _text(told.get("code")) or _text(error) or "an error without a message"


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
