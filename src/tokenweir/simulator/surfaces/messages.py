"""Anthropic's Messages API as Microsoft Foundry serves it: bodies, events and errors, member for member as documented.

What the model says and uses is decided as for a chat (answers.py); here it gets Anthropic's words.
https://docs.claude.com/en/api/messages, /messages-streaming, /errors
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from ..answers import Answer, Choice, ToolCall, answer
from ..failures import Refused
from ..routes import Call
from ..script import Script
from ..streams import Piece, until_fault

__all__ = ["message_answer", "message_error", "message_events", "whole_message"]

_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
_STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
_PING = {"type": "ping"}

_encode = msgspec.json.encode


def message_answer(call: Call, script: Script) -> Answer:
    """What the model says to a message, and what that uses. Raises ``Refused`` as the API does."""
    body = call.body
    if "anthropic-version" not in call.request.headers:
        raise Refused.bad_request("anthropic-version: header is required")
    for name in ("model", "messages") if call.api == "count_tokens" else ("model", "max_tokens", "messages"):
        if not body.get(name):
            raise Refused.bad_request(f"{name}: Field required")
    named = call.deployment or ""
    model = script.model or (named if named.startswith("claude-") else "claude-sonnet-5-5")
    chat = msgspec.structs.replace(call, api="chat_completions", body=_as_chat(body))
    return answer(chat, msgspec.structs.replace(script, model=model))


def _as_chat(body: dict[str, Any]) -> dict[str, Any]:
    """The chat with the same words in it."""
    messages = [*body["messages"]]
    if body.get("system"):
        messages.insert(0, {"role": "system", "content": body["system"]})
    chat: dict[str, Any] = {"messages": messages, "max_tokens": body.get("max_tokens")}
    if tools := body.get("tools"):
        chat["tools"] = [{"function": {"name": tool["name"], "parameters": tool.get("input_schema")}} for tool in tools]
        choice = body.get("tool_choice") or {}
        if choice.get("type") in ("any", "tool"):
            named = {"function": {"name": choice.get("name")}}
            chat["tool_choice"] = named if choice["type"] == "tool" else "required"
    return chat


def message_error(error: Refused, request_id: str) -> dict[str, Any]:
    """The body of an error answer."""
    kind = _ERROR_TYPES.get(error.status, "api_error")
    told = "Overloaded" if error.status == 529 else str(error)
    return {"type": "error", "error": {"type": kind, "message": told}, "request_id": request_id}


def whole_message(answer: Answer, script: Script, id: str) -> dict[str, Any]:
    """The body of an answer that is not streamed."""
    (choice,) = answer.choices
    content: list[dict[str, Any]] = [{"type": "text", "text": choice.text}] if choice.words else []
    content += [_tool_use(call, msgspec.json.decode(call.arguments)) for call in choice.tool_calls]
    message = _message(answer, script, id) | {"content": content, "stop_reason": _stop_reason(choice)}
    if script.usage == "withheld":
        del message["usage"]
    return message


def message_events(answer: Answer, script: Script, id: str) -> Iterator[Piece]:
    """The events of a stream, as far as the script lets them come."""
    (choice,) = answer.choices
    message = _message(answer, script, id)
    message["usage"]["output_tokens"] = 1
    if script.usage == "withheld":
        del message["usage"]
    newline = b"\r\n" if script.crlf else b"\n"
    for event, piece in _told(answer, choice, message, script):
        lines = (b": simulated", b"") if script.comments else ()
        data = _encode(event)
        piece.data = newline.join((*lines, b"event: " + event["type"].encode(), b"data: " + data, b"", b""))
        yield piece


def _told(
    answer: Answer, choice: Choice, message: dict[str, Any], script: Script
) -> Iterator[tuple[dict[str, Any], Piece]]:
    yield {"type": "message_start", "message": message}, Piece(b"")
    yield _PING, Piece(b"")
    fault = script.fault()
    yield from until_fault(_output(choice, script), fault)
    if fault is not None:
        if fault[0] == "error_frame":
            yield {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, Piece(b"")
        return
    end: dict[str, Any] = {
        "type": "message_delta",
        "delta": {"stop_reason": _stop_reason(choice), "stop_sequence": None},
    }
    if script.usage == "auto":
        end["usage"] = {"output_tokens": answer.completion_tokens}
    yield end, Piece(b"", usage="usage" in end)
    if not script.no_done:
        yield {"type": "message_stop"}, Piece(b"")


def _output(choice: Choice, script: Script) -> Iterator[tuple[dict[str, Any], Piece]]:
    """Blocks of content, one after the other, each in deltas."""
    size = script.chunk_tokens or 1
    delay = float(script.chunk_delay) or None
    blocks: list[tuple[dict[str, Any], str, list[tuple[str, int]]]] = []
    if choice.words or not choice.tool_calls:
        blocks.append(({"type": "text", "text": ""}, "text", [(word, 1) for word in choice.words]))
    for call in choice.tool_calls:
        pieces = [("", call.name_tokens), *call.pieces]
        blocks.append((_tool_use(call, {}), "partial_json", pieces))
    for index, (block, member, pieces) in enumerate(blocks):
        yield {"type": "content_block_start", "index": index, "content_block": block}, Piece(b"")
        kind = "text_delta" if member == "text" else "input_json_delta"
        for first in range(0, len(pieces), size):
            chunk = pieces[first : first + size]
            delta = {"type": kind, member: "".join(text for text, _ in chunk)}
            visible = sum(tokens for _, tokens in chunk)
            yield {"type": "content_block_delta", "index": index, "delta": delta}, Piece(b"", visible, delay=delay)
        yield {"type": "content_block_stop", "index": index}, Piece(b"")


def _message(answer: Answer, script: Script, id: str) -> dict[str, Any]:
    written = min(script.cache_write_tokens, answer.prompt_tokens - answer.cached_tokens)
    usage: dict[str, Any] = {
        "input_tokens": answer.prompt_tokens - answer.cached_tokens - written,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": answer.cached_tokens,
        "cache_creation": {"ephemeral_5m_input_tokens": written, "ephemeral_1h_input_tokens": 0},
        "output_tokens": answer.completion_tokens,
        "service_tier": "standard",
    }
    return {
        "model": answer.model,
        "id": f"msg_{id}",
        "type": "message",
        "role": "assistant",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }


def _tool_use(call: ToolCall, arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": call.id.replace("call_", "toolu_"), "name": call.name, "input": arguments}


def _stop_reason(choice: Choice) -> str:
    return _STOP_REASONS.get(choice.finish_reason, choice.finish_reason)
