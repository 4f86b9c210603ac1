"""The Responses API: text, tools of the caller and built-in ones, structured output, storage, work in the background.

A response in the background is queued; each GET brings it on, and `Script.polls` of them still see it at work. The GET
that first sees it completed is the one that the ledger charges. A stream in the background is charged in full, since
the model goes on without its reader.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec

from ..answers import chat_answer
from ..failures import Refused
from ..headers import response_headers
from ..output_items import OutputItem, output_items
from ..pieces import ReplyPiece, events, until_fault
from ..response_session import ResponseSession
from ..said import Answer
from ..script import Script
from ..surface import AnswerContext, Reply, SimulatedCall, SimulatedRoute, SimulatedSurface

__all__ = ["RESPONSES"]

_KIND = "response"
_PROBABILITIES = "message.output_text.logprobs"

# What an object repeats of its request, and what it says where the request does not.
_REPEATED: dict[str, Any] = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}


class _Stored(msgspec.Struct):
    """A response that can be asked for again, and what it followed from."""

    told: dict[str, Any]
    """The whole object, as it is when done."""
    input: list[dict[str, Any]]
    """The items before its output, those of the responses before it too."""
    script: Script
    queued: Answer | None = None
    """What it will have used, until it is done or cancelled."""
    polled: int = 0

    @property
    def now(self) -> dict[str, Any]:
        """The object as it is by now."""
        if self.queued is None:
            return self.told
        status = "in_progress" if self.polled else "queued"
        return self.told | {"status": status, "output": [], "usage": None, "incomplete_details": None}


def _create(call: SimulatedCall, script: Script, moment: AnswerContext) -> Reply:
    body = call.body
    if not body.get("input") and not body.get("prompt"):
        raise Refused.missing("input")
    history = _history(body, moment)
    said = _said(call, history, script)
    tools = [tool for tool in _server_tools(body) for _ in range(script.server_tool_calls)]
    said = msgspec.structs.replace(said, quantities=_tools_used(tools))
    usage = script.usage == "auto"
    id = moment.name("resp")
    alternatives = (body.get("top_logprobs") or 0) if _PROBABILITIES in (body.get("include") or ()) else None
    items = output_items(said, tools, id.removeprefix("resp_"), alternatives)
    told = _whole(call, said, items, id, moment.created, usage=usage)
    stored = _Stored(told, history, script)
    if body.get("store", True) is not False:
        moment.store.put(_KIND, id, stored)
    made = Reply(headers=response_headers(call, script, moment, said), usage=usage)
    if body.get("background") is True and not call.stream:
        stored.queued, made.usage = said, False
        made.body = msgspec.json.encode(stored.now)
        return made
    made.answer, made.runs_on = said, body.get("background") is True
    if call.stream:
        made.pieces = events(_numbered(_told(told, items, script, alternatives, usage=usage)), script)
    else:
        made.body = msgspec.json.encode(told)
    return made


def _history(body: dict[str, Any], moment: AnswerContext) -> list[dict[str, Any]]:
    """The items that the model reads. Raises ``Refused`` where there is no such earlier response."""
    given = body.get("input")
    items = given if isinstance(given, list) else [{"role": "user", "content": given or ""}]
    items = [item for item in items if isinstance(item, dict)]
    if isinstance(earlier := body.get("previous_response_id"), str):
        before: _Stored = moment.store.get(_KIND, earlier)
        return [*before.input, *before.told["output"], *items]
    return items


def _said(call: SimulatedCall, history: list[dict[str, Any]], script: Script) -> Answer:
    """By way of the chat with the same words in it."""
    body = call.body
    messages = [message for item in history if (message := _message_of(item)) is not None]
    if isinstance(body.get("instructions"), str):
        messages.insert(0, {"role": "system", "content": body["instructions"]})
    chat: dict[str, Any] = {
        "messages": messages,
        "max_tokens": body.get("max_output_tokens"),
        "parallel_tool_calls": body.get("parallel_tool_calls"),
        "service_tier": body.get("service_tier"),
    }
    tools = [_chat_tool(tool) for tool in body.get("tools") or () if tool.get("type") in ("function", "custom")]
    if tools:
        chat["tools"] = tools
        choice = body.get("tool_choice")
        if isinstance(choice, dict) and choice.get("type") in ("function", "custom"):
            chat["tool_choice"] = _chat_tool(choice)
        elif choice == "required":
            chat["tool_choice"] = choice
    wanted = (body.get("text") or {}).get("format") or {}
    if wanted.get("type") == "json_schema":
        chat["response_format"] = {"type": "json_schema", "json_schema": wanted}
    elif wanted.get("type") == "json_object":
        chat["response_format"] = wanted
    return chat_answer(chat, call.deployment, script)


def _chat_tool(tool: dict[str, Any]) -> dict[str, Any]:
    return {"type": tool["type"], tool["type"]: tool}


def _message_of(item: dict[str, Any]) -> dict[str, Any] | None:
    match item.get("type", "message"):
        case "message":
            return {"role": item.get("role"), "content": item.get("content")}
        case "function_call" | "custom_tool_call":
            called = {"name": item.get("name"), "arguments": item.get("arguments", item.get("input"))}
            return {"role": "assistant", "tool_calls": [{"function": called}]}
        case "function_call_output" | "custom_tool_call_output":
            return {"role": "tool", "content": item.get("output")}
    return None


def _server_tools(body: dict[str, Any]) -> list[str]:
    """The built-in tools that are offered, without the day in a name: ``web_search_preview_2025_03_11``."""
    kinds = [str(tool.get("type")) for tool in body.get("tools") or ()]
    return [kind.partition("_preview")[0] for kind in kinds if kind not in ("function", "custom", "mcp")]


def _tools_used(tools: list[str]) -> dict[str, int | Decimal]:
    """All runs of code are in one container."""
    used: dict[str, int | Decimal] = {
        "web_searches": tools.count("web_search"),
        "file_searches": tools.count("file_search"),
        "sessions": min(1, tools.count("code_interpreter")),
    }
    return {name: amount for name, amount in used.items() if amount}


def _whole(
    call: SimulatedCall, said: Answer, items: list[OutputItem], id: str, created: int, *, usage: bool
) -> dict[str, Any]:
    reasons = {choice.finish_reason for choice in said.choices} - {"stop", "tool_calls"}
    reason = {"length": "max_output_tokens"}.get(one := next(iter(reasons), ""), one)
    told = {name: call.body.get(name, usual) for name, usual in _REPEATED.items()}
    return told | {
        "id": id,
        "object": "response",
        "created_at": created,
        "status": "incomplete" if reason else "completed",
        "error": None,
        "incomplete_details": {"reason": reason} if reason else None,
        "model": said.model,
        "output": [item.whole for item in items],
        "service_tier": said.service_tier or "default",
        "usage": _usage(said) if usage else None,
    }


def _usage(said: Answer) -> dict[str, Any]:
    details = {"cached_tokens": said.cached_tokens}
    if said.cache_write_tokens:
        details["cache_write_tokens"] = said.cache_write_tokens
    return {
        "input_tokens": said.prompt_tokens,
        "input_tokens_details": details,
        "output_tokens": said.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": said.reasoning_tokens},
        "total_tokens": said.prompt_tokens + said.completion_tokens,
    }


def _told(
    whole: dict[str, Any], items: list[OutputItem], script: Script, alternatives: int | None, *, usage: bool
) -> Iterator[tuple[dict[str, Any], ReplyPiece]]:
    begun = whole | {"status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
    for kind in ("created", "in_progress"):
        yield {"type": f"response.{kind}", "response": begun}, ReplyPiece(b"")
    output = (event for at, item in enumerate(items) for event in item.events(at, script, alternatives))
    fault = script.fault()
    yield from until_fault(output, fault)
    if fault is None:
        yield {"type": f"response.{whole['status']}", "response": whole}, ReplyPiece(b"", usage=usage)
    elif fault[0] == "error_frame":
        error = {
            "code": "server_error",
            "message": "The server had an error while processing your request.",
            "param": None,
        }
        yield {"type": "error", **error}, ReplyPiece(b"")


def _numbered(told: Iterator[tuple[dict[str, Any], ReplyPiece]]) -> Iterator[tuple[dict[str, Any], ReplyPiece]]:
    for number, (event, piece) in enumerate(told):
        yield event | {"sequence_number": number}, piece


def _retrieve(call: SimulatedCall, script: Script, moment: AnswerContext) -> Reply:
    stored: _Stored = moment.store.get(_KIND, call.parameters["id"])
    query = call.request.query
    streamed = query.get("stream") == "true"
    made = Reply(headers=response_headers(call, script, moment))
    if stored.queued is not None:
        stored.polled += 1
        if streamed or stored.polled > stored.script.polls:
            made.answer, stored.queued = stored.queued, None
            made.usage = stored.told["usage"] is not None
    if streamed:
        after = query.get("starting_after", "")
        made.headers[0] = ("content-type", "text/event-stream; charset=utf-8")
        made.pieces = events(_resumed(stored, int(after) if after.isdecimal() else -1), script)
        made.runs_on = True
    else:
        made.body = msgspec.json.encode(stored.now)
    return made


def _resumed(stored: _Stored, after: int) -> Iterator[tuple[dict[str, Any], ReplyPiece]]:
    """What a reader who had the events up to that number still misses: the last one, which says everything."""
    told = stored.told
    last = {"type": f"response.{told['status']}", "response": told, "sequence_number": after + 1}
    yield last, ReplyPiece(b"", usage=told["usage"] is not None)


def _cancel(call: SimulatedCall, script: Script, moment: AnswerContext) -> Reply:
    stored: _Stored = moment.store.get(_KIND, call.parameters["id"])
    if stored.told["background"] is not True:
        raise Refused.bad_request("Only responses in the background can be cancelled.", "response_id")
    if stored.queued is not None:
        stored.queued = None
        stored.told |= {"status": "cancelled", "output": [], "usage": None}
    return Reply(headers=response_headers(call, script, moment), body=msgspec.json.encode(stored.told))


def _delete(call: SimulatedCall, script: Script, moment: AnswerContext) -> Reply:
    id = call.parameters["id"]
    moment.store.remove(_KIND, id)
    told = {"id": id, "object": "response", "deleted": True}
    return Reply(headers=response_headers(call, script, moment), body=msgspec.json.encode(told))


def _input_items(call: SimulatedCall, script: Script, moment: AnswerContext) -> Reply:
    stored: _Stored = moment.store.get(_KIND, call.parameters["id"])
    data = [{"id": f"msg_{number:04x}", "type": "message", **item} for number, item in enumerate(stored.input)]
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    told = {"object": "list", "data": data, "first_id": first, "last_id": last, "has_more": False}
    return Reply(headers=response_headers(call, script, moment), body=msgspec.json.encode(told))


def _count(call: SimulatedCall, script: Script, moment: AnswerContext) -> Reply:
    """Says what a response would read, and uses nothing."""
    said = _said(call, _history(call.body, moment), script)
    told = {"object": "response.input_tokens", "input_tokens": said.prompt_tokens}
    return Reply(headers=response_headers(call, script, moment), body=msgspec.json.encode(told))


def _compact(call: SimulatedCall, script: Script, moment: AnswerContext) -> Reply:
    """The conversation so far as one opaque item, which takes as many tokens to write as any answer."""
    history = _history(call.body, moment)
    said = _said(call, history, script)
    told = {
        "id": moment.name("resp"),
        "object": "response.compaction",
        "created_at": moment.created,
        "output": [{"id": moment.name("cmp"), "type": "compaction", "encrypted_content": "c2ltdWxhdGVk"}],
        "usage": _usage(said),
    }
    headers = response_headers(call, script, moment, said)
    return Reply(headers=headers, body=msgspec.json.encode(told), answer=said, usage=True)


def _no_socket(call: SimulatedCall, script: Script, moment: AnswerContext) -> Reply:
    raise Refused(405, {"code": "405", "message": "GET is not allowed here; use POST"})


RESPONSES = SimulatedSurface(
    api="responses",
    title="Responses, also over WebSocket, with tools, structured output, storage and background",
    azure_operation="Responses_Create",
    routes=(
        SimulatedRoute(path="responses", answer=_create, streams=True),
        SimulatedRoute(path="responses", method="GET", answer=_no_socket, body="any", open=ResponseSession),
        SimulatedRoute(path="responses/input_tokens", answer=_count),
        SimulatedRoute(path="responses/compact", answer=_compact),
        SimulatedRoute(path="responses/{id}", method="GET", answer=_retrieve, body="any"),
        SimulatedRoute(path="responses/{id}", method="DELETE", answer=_delete, body="any"),
        SimulatedRoute(path="responses/{id}/cancel", answer=_cancel, body="any"),
        SimulatedRoute(path="responses/{id}/input_items", method="GET", answer=_input_items, body="any"),
    ),
)
