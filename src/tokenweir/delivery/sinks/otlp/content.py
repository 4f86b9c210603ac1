"""What was asked and answered, as ``gen_ai.input.messages`` and ``gen_ai.output.messages`` want it: JSON texts of
messages with parts. Only for sinks that are told to send it, and calls whose bodies were kept.
"""

from typing import Any

import msgspec

from ....apis import surface_of
from ....records import CallRecord
from ..formats.content import AnswerChoice, read_answer, read_request
from .span import Attribute

__all__ = ["content_attributes"]

_encode = msgspec.json.Encoder().encode


def content_attributes(record: CallRecord) -> dict[str, Attribute | None]:
    """Of chats and completions; embeddings have no messages."""
    if not surface_of(record.api).has_choices:
        return {}
    asked = read_request(record.request_body)
    said = read_answer(record.response_body) if record.response_body is not None else []
    messages = [_input(message) for message in msgspec.json.decode(asked.messages) if isinstance(message, dict)]
    if not messages and isinstance(prompt := msgspec.json.decode(asked.input), str):
        messages = [{"role": "user", "parts": [_text(prompt)]}]
    answers = [_output(one, record.finish_reasons, number) for number, one in enumerate(said)]
    return {
        "gen_ai.input.messages": _encode(messages).decode() if messages else None,
        "gen_ai.output.messages": _encode(answers).decode() if answers else None,
    }


def _input(message: dict[str, Any]) -> dict[str, Any]:
    content = message.get("content")
    if message.get("role") == "tool":
        answer = {"type": "tool_call_response", "id": message.get("tool_call_id"), "response": content}
        return {"role": "tool", "parts": [answer]}
    texts = [_text(content)] if isinstance(content, str) else []
    parts = [_part(part) for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    calls = message.get("tool_calls")
    called = [_tool_call(call) for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    return {"role": message.get("role"), "parts": [*texts, *parts, *called]}


def _output(said: AnswerChoice, finish_reasons: list[str], number: int) -> dict[str, Any]:
    texts = [_text(text) for text in (said.content, said.refusal) if text is not None]
    message = {"role": "assistant", "parts": [*texts, *map(_tool_call, said.tool_calls)]}
    if number < len(finish_reasons):
        message["finish_reason"] = finish_reasons[number]
    return message


def _part(part: dict[str, Any]) -> dict[str, Any]:
    """Texts by the convention's name, all others (pictures, audio) as they stand, which it allows."""
    return _text(part["text"]) if isinstance(part.get("text"), str) else {"type": "unknown", **part}


def _tool_call(call: dict[str, Any]) -> dict[str, Any]:
    kinds = [call[kind] for kind in ("function", "custom") if isinstance(call.get(kind), dict)]
    called: dict[str, Any] = kinds[0] if kinds else {}
    return {
        "type": "tool_call",
        "id": call.get("id"),
        "name": called.get("name", ""),
        "arguments": called.get("arguments", called.get("input")),
    }


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "content": text}
