"""Anthropic's Messages API, as Claude is called on Microsoft Foundry.

A stream tells the usage of its input in its first event, and what it wrote in ``message_delta``, whose counts are
cumulative: the later one of each counts. ``input_tokens`` leaves out what was read from a cache or written to it.
https://docs.anthropic.com/en/api/messages-streaming
"""

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec

from ..records import Quantity, exact_amount
from ..wire import Path
from .digest import FACTS, readers, told_usage
from .structs import AnswerChoice, AnswerMessage, ApiAnswer, CalledTool, EventAnswer, FunctionCall, UpstreamTools
from .surface import Surface

__all__ = ["SURFACE"]

_Object = dict[str, Any]

_FACTS: dict[Path, int] = {
    **FACTS,
    ("message", "id"): FACTS[("id",)],
    ("message", "model"): FACTS[("model",)],
    ("message", "usage"): FACTS[("usage",)],
    ("stop_reason",): FACTS[("status",)],
    ("delta", "stop_reason"): FACTS[("status",)],
}


class _Event(msgspec.Struct, gc=False):
    """An event, or a body, which is a message and nothing else."""

    type: Any = None
    id: Any = None
    model: Any = None
    content: Any = None
    stop_reason: Any = None
    usage: Any = None
    error: Any = None
    message: Any = None
    index: Any = None
    content_block: Any = None
    delta: Any = None


def _answer(event: _Event) -> ApiAnswer:
    message = _object(event.message)
    delta = _object(event.delta)
    usage = told_usage(event.usage if message.get("usage") is None else message["usage"]) or {}
    reason = _text(event.stop_reason or delta.get("stop_reason"))
    calls = list(_calls(event))
    text = _written(event)
    choice = AnswerChoice(finish_reason=reason, message=AnswerMessage(content=text or None, tool_calls=calls or None))
    return EventAnswer(
        is_last=event.type == "message_stop",
        did=_tools(usage),
        id=_text(message.get("id") or event.id),
        model=_text(message.get("model") or event.model),
        choices=[choice] if reason or text or calls else None,
        usage=usage or None,
        # fast mode has prices of its own, whatever tier it is served in
        service_tier="fast" if usage.get("speed") == "fast" else _text(usage.get("service_tier")),
        error=event.error,
    )


def _written(event: _Event) -> str:
    """What is to be seen, and what was thought as far as it is told."""
    if event.type == "content_block_delta":
        delta = _object(event.delta)
        return _text(delta.get("text") or delta.get("thinking")) or ""
    return "".join(_text(block.get("text") or block.get("thinking")) or "" for block in _objects(event.content))


def _calls(event: _Event) -> Iterator[CalledTool]:
    """Calls of tools. A stream tells the name when the call begins, then what it is called with."""
    at = event.index if isinstance(event.index, int) else 0
    if event.type == "content_block_start" and (name := _text(_object(event.content_block).get("name"))):
        yield CalledTool(index=at, function=FunctionCall(name))
    elif event.type == "content_block_delta" and (part := _text(_object(event.delta).get("partial_json"))):
        yield CalledTool(index=at, function=FunctionCall(arguments=part))
    for position, block in enumerate(_objects(event.content)):
        if name := _text(block.get("name")):
            yield CalledTool(index=position, function=FunctionCall(name, _object(block.get("input"))))


def _tools(usage: _Object) -> UpstreamTools | None:
    """What Anthropic's own tools did, by the names that the usage counts them under."""
    counts = _object(usage.get("server_tool_use"))
    calls = {name: _count(value) for name, value in counts.items() if _count(value)}
    return UpstreamTools(calls=calls, are_all=True) if calls else None


def _counts(usage: _Object) -> _Object:
    all_used = _of_this_model(usage)
    read, written = _sum(all_used, "cache_read_input_tokens"), _sum(all_used, "cache_creation_input_tokens")
    return {
        "input_tokens": _sum(all_used, "input_tokens") + read + written,
        "input_tokens_details": {"cached_tokens": read, "cache_write_tokens": written},
        "output_tokens": _sum(all_used, "output_tokens"),
        "output_tokens_details": {
            "reasoning_tokens": _count(_object(usage.get("output_tokens_details")).get("thinking_tokens"))
        },
    }


def _quantities(usage: _Object) -> dict[str, Quantity]:
    written = [_object(used.get("cache_creation")) for used in _of_this_model(usage)]
    advised, used = _iterations(usage, "advisor_message"), _object(usage.get("server_tool_use"))
    told: dict[str, int | Decimal | None] = {
        "cache_write_5m_tokens": _sum(written, "ephemeral_5m_input_tokens"),
        "cache_write_1h_tokens": _sum(written, "ephemeral_1h_input_tokens"),
        "advisor_input_tokens": sum(_sum(advised, name) for name in _INPUT),
        "advisor_output_tokens": _sum(advised, "output_tokens"),
        "web_searches": exact_amount(used.get("web_search_requests")),
        "web_fetches": exact_amount(used.get("web_fetch_requests")),
    }
    return {name: Quantity(amount) for name, amount in told.items() if amount}


def _of_this_model(usage: _Object) -> list[_Object]:
    """What is to be added up: compacting the context is billed beside what the usage says at its top. What an advisor
    used, who is another model, is neither there nor billed like this one."""
    return [usage, *_iterations(usage, "compaction")]


def _iterations(usage: _Object, kind: str) -> list[_Object]:
    return [used for used in _objects(usage.get("iterations")) if used.get("type") == kind]


def _sum(all_used: list[_Object], name: str) -> int:
    return sum(_count(used.get(name)) for used in all_used)


_INPUT = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


def _as_chat(request: _Object) -> _Object:
    messages = [
        {"role": message.get("role"), "content": _parts(message.get("content"))}
        for message in _objects(request.get("messages"))
    ]
    if request.get("system"):
        messages.insert(0, {"role": "system", "content": _parts(request["system"])})
    tools = [
        {"function": {**tool, "parameters": tool.get("input_schema")}}
        for tool in _objects(request.get("tools"))
        if "input_schema" in tool
    ]
    return {"messages": messages, "tools": tools}


def _parts(content: Any) -> Any:
    return [part for block in content for part in _part(block)] if isinstance(content, list) else content


def _part(block: Any) -> Iterator[Any]:
    match _object(block).get("type"):
        case "image":
            source = _object(block.get("source"))
            yield {"image_url": {"url": f"data:{source.get('media_type')};base64,{source.get('data')}"}}
        case "tool_use":
            yield {"text": _text(block.get("name"))}
            yield {"text": msgspec.json.encode(block.get("input")).decode()}
        case "tool_result":
            inner = _parts(block.get("content"))
            yield from inner if isinstance(inner, list) else [{"text": inner}]
        case _:
            yield block


def _count(value: Any) -> int:
    return int(value) if type(value) in (int, float) and 0 <= value < 2**53 else 0


def _object(value: Any) -> _Object:
    return value if isinstance(value, dict) else {}


def _objects(value: Any) -> list[_Object]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


_READ, _ANSWER_OF = readers(_Event, _answer, _FACTS)

SURFACE = Surface(
    name="messages",
    title="Messages (Anthropic)",
    operation="messages",
    root="anthropic",
    paths=("messages",),
    has_deployment_path=False,
    prompt="messages",
    has_choices=True,
    read_answer=_READ,
    answer_of=_ANSWER_OF,
    facts=_FACTS,
    output=re.compile(rb'"type"\s*:\s*"content_block_delta"'),
    ends_with_done=False,
    counts_of=_counts,
    quantities_of=_quantities,
    estimate="chat",
    as_chat=_as_chat,
    otel_operation="chat",
)
