"""Anthropic's Messages API as Microsoft Foundry serves it: bodies, events and errors, member for member as documented.

What the model says and uses is decided as for a chat (answers.py); here it gets Anthropic's words.
https://docs.claude.com/en/api/messages, /messages-streaming, /errors
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from ..answers import chat_answer
from ..failures import Refused
from ..headers import identity
from ..pieces import ReplyPiece, events, until_fault
from ..said import Answer, Choice, ToolCall
from ..script import Script
from ..surface import AnswerContext, Reply, SimulatedCall, SimulatedRoute, SimulatedSurface

__all__ = ["COUNT_TOKENS", "MESSAGES"]

_STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
# Tokens of thinking that nobody asked a length of, and what is shown of any.
_THOUGHT = 24
_SUMMARY = "The river, the wall, the marks: simple enough."
_SIGNATURE = "c2ltdWxhdGVk"
_PING = {"type": "ping"}


def _answer(call: SimulatedCall, script: Script, moment: AnswerContext) -> Reply:
    """Foundry leaves Anthropic's rate limit headers out."""
    said = _said(call, script, "model", "max_tokens", "messages")
    made = Reply(headers=_headers(call, script, moment), answer=said, usage=script.usage == "auto")
    if call.stream:
        made.pieces = events(_told(said, script, moment.id), script)
    else:
        made.body = msgspec.json.encode(_whole(said, script, moment.id))
    return made


def _count(call: SimulatedCall, script: Script, moment: AnswerContext) -> Reply:
    """Says what a message would use, and uses nothing."""
    said = _said(call, script, "model", "messages")
    body = msgspec.json.encode({"input_tokens": said.prompt_tokens})
    return Reply(headers=_headers(call, script, moment), body=body)


def _headers(call: SimulatedCall, script: Script, moment: AnswerContext) -> list[tuple[str, str]]:
    kind = "text/event-stream; charset=utf-8" if call.stream else "application/json"
    headers = [("content-type", kind), *identity(moment, azure=True), ("request-id", f"req_{moment.id}")]
    if script.gzip:
        headers.append(("content-encoding", "gzip"))
    return headers


def _said(call: SimulatedCall, script: Script, *needed: str) -> Answer:
    """What the model says to a message, and what that uses. Raises ``Refused`` as the API does."""
    body = call.body
    if "anthropic-version" not in call.request.headers:
        raise Refused.bad_request("anthropic-version: header is required")
    for name in needed:
        if not body.get(name):
            raise Refused.bad_request(f"{name}: Field required")
    named = call.deployment or ""
    model = script.model or (named if named.startswith("claude-") else "claude-sonnet-5-5")
    thinking = (body.get("thinking") or {}).get("type") in ("enabled", "adaptive")
    reasoning = (script.reasoning_tokens or _THOUGHT) if thinking else 0
    said = chat_answer(_as_chat(body), model, msgspec.structs.replace(script, model=model, reasoning_tokens=reasoning))
    searches = script.server_tool_calls * sum(_is_search(tool) for tool in body.get("tools") or ())
    long = min(script.cache_write_1h_tokens, said.cache_write_tokens)
    quantities: dict[str, int | Decimal] = {
        "web_searches": searches,
        "cache_write_5m_tokens": said.cache_write_tokens - long,
        "cache_write_1h_tokens": long,
    }
    return msgspec.structs.replace(said, quantities={name: amount for name, amount in quantities.items() if amount})


def _is_search(tool: dict[str, Any]) -> bool:
    return str(tool.get("type")).startswith("web_search_")


def _as_chat(body: dict[str, Any]) -> dict[str, Any]:
    """The chat with the same words in it."""
    messages = [*body["messages"]]
    if body.get("system"):
        messages.insert(0, {"role": "system", "content": body["system"]})
    chat: dict[str, Any] = {"messages": messages, "max_tokens": body.get("max_tokens")}
    if tools := [tool for tool in body.get("tools") or () if tool.get("type", "custom") == "custom"]:
        chat["tools"] = [{"function": {"name": tool["name"], "parameters": tool.get("input_schema")}} for tool in tools]
        choice = body.get("tool_choice") or {}
        if choice.get("type") in ("any", "tool"):
            named = {"function": {"name": choice.get("name")}}
            chat["tool_choice"] = named if choice["type"] == "tool" else "required"
    return chat


def _whole(answer: Answer, script: Script, id: str) -> dict[str, Any]:
    """The body of an answer that is not streamed."""
    (choice,) = answer.choices
    blocks = [block.whole for block in _blocks(answer, choice)]
    message = _message(answer, id) | {"content": blocks, "stop_reason": _stop_reason(choice)}
    if script.usage == "withheld":
        del message["usage"]
    return message


def _told(answer: Answer, script: Script, id: str) -> Iterator[tuple[dict[str, Any], ReplyPiece]]:
    """The events of a stream, as far as the script lets them come."""
    (choice,) = answer.choices
    message = _message(answer, id)
    message["usage"]["output_tokens"] = 1
    if script.usage == "withheld":
        del message["usage"]
    yield {"type": "message_start", "message": message}, ReplyPiece(b"")
    yield _PING, ReplyPiece(b"")
    fault = script.fault()
    yield from until_fault(_output(answer, choice, script), fault)
    if fault is not None:
        if fault[0] == "error_frame":
            yield {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, ReplyPiece(b"")
        return
    end: dict[str, Any] = {
        "type": "message_delta",
        "delta": {"stop_reason": _stop_reason(choice), "stop_sequence": None},
    }
    if script.usage == "auto":
        end["usage"] = {"output_tokens": answer.completion_tokens, **_details(answer)}
    yield end, ReplyPiece(b"", usage="usage" in end)
    if not script.no_done:
        yield {"type": "message_stop"}, ReplyPiece(b"")


class _Block(msgspec.Struct):
    """One block of content; a stream begins it empty and tells it in deltas, each with its visible tokens."""

    whole: dict[str, Any]
    begun: dict[str, Any]
    kind: str = ""
    member: str = ""
    pieces: Sequence[tuple[str, int]] = ()
    signature: str = ""


def _blocks(answer: Answer, choice: Choice) -> Iterator[_Block]:
    """Thinking (a summary of it), searches, then text or calls of tools."""
    if answer.reasoning_tokens:
        thinking = {"type": "thinking", "thinking": _SUMMARY, "signature": _SIGNATURE}
        begun = thinking | {"thinking": "", "signature": ""}
        yield _Block(thinking, begun, "thinking_delta", "thinking", [(_SUMMARY, 0)], _SIGNATURE)
    for number in range(int(answer.quantities.get("web_searches", 0))):
        id = f"srvtoolu_{number:024x}"
        used = {"type": "server_tool_use", "id": id, "name": "web_search", "input": {"query": "river"}}
        yield _Block(used, used | {"input": {}}, "input_json_delta", "partial_json", [('{"query":"river"}', 0)])
        found = {"type": "web_search_tool_result", "tool_use_id": id, "content": []}
        yield _Block(found, found)
    if choice.words or not choice.tool_calls:
        text = {"type": "text", "text": choice.text}
        yield _Block(text, text | {"text": ""}, "text_delta", "text", [(word, 1) for word in choice.words])
    for call in choice.tool_calls:
        used = _tool_use(call, msgspec.json.decode(call.arguments))
        pieces = [("", call.name_tokens), *call.pieces]
        yield _Block(used, used | {"input": {}}, "input_json_delta", "partial_json", pieces)


def _output(answer: Answer, choice: Choice, script: Script) -> Iterator[tuple[dict[str, Any], ReplyPiece]]:
    """Blocks of content, one after the other, each in deltas."""
    size = script.chunk_tokens or 1
    delay = float(script.chunk_delay) or None
    for index, block in enumerate(_blocks(answer, choice)):
        yield {"type": "content_block_start", "index": index, "content_block": block.begun}, ReplyPiece(b"")
        for first in range(0, len(block.pieces), size):
            chunk = block.pieces[first : first + size]
            delta = {"type": block.kind, block.member: "".join(text for text, _ in chunk)}
            visible = sum(tokens for _, tokens in chunk)
            yield {"type": "content_block_delta", "index": index, "delta": delta}, ReplyPiece(b"", visible, delay=delay)
        if block.signature:
            delta = {"type": "signature_delta", "signature": block.signature}
            yield {"type": "content_block_delta", "index": index, "delta": delta}, ReplyPiece(b"")
        yield {"type": "content_block_stop", "index": index}, ReplyPiece(b"")


def _details(answer: Answer) -> dict[str, Any]:
    """What a usage says besides, where there was any of it."""
    told: dict[str, Any] = {}
    if answer.reasoning_tokens:
        told["output_tokens_details"] = {"thinking_tokens": answer.reasoning_tokens}
    if searches := answer.quantities.get("web_searches"):
        told["server_tool_use"] = {"web_search_requests": searches}
    return told


def _message(answer: Answer, id: str) -> dict[str, Any]:
    short, long = (answer.quantities.get(f"cache_write_{time}_tokens", 0) for time in ("5m", "1h"))
    written = answer.cache_write_tokens
    usage: dict[str, Any] = {
        "input_tokens": answer.prompt_tokens - answer.cached_tokens - written,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": answer.cached_tokens,
        "cache_creation": {"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long},
        "output_tokens": answer.completion_tokens,
        "service_tier": answer.service_tier or "standard",
        **_details(answer),
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


MESSAGES = SimulatedSurface(
    api="messages",
    title="Claude's messages, as Foundry serves them",
    root="anthropic",
    routes=(SimulatedRoute(path="messages", answer=_answer, needs_model=False, streams=True),),
)

COUNT_TOKENS = SimulatedSurface(
    api="count_tokens",
    title="What a message to Claude would use",
    root="anthropic",
    routes=(SimulatedRoute(path="messages/count_tokens", answer=_count, needs_model=False),),
)
