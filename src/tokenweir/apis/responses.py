"""The Responses API. Its answers are read as those of a chat: a whole body, and the events of a stream.

A stream says in its last event (``response.completed``, ``response.incomplete`` or ``response.failed``) what a body
says; the first ones hold the same object without a usage. There is no ``[DONE]``.
"""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec

from .digest import readers, told_usage
from .jobs import job_of
from .structs import (
    AnswerChoice,
    AnswerMessage,
    ApiAnswer,
    CalledTool,
    CustomCall,
    EventAnswer,
    FunctionCall,
    ResponseEvent,
    ResponseObject,
    UpstreamTools,
)
from .surface import Surface

__all__ = ["SURFACE"]

_LAST = ("response.completed", "response.incomplete", "response.failed")
_TEXT = (
    "response.output_text.delta",
    "response.refusal.delta",
    "response.reasoning_text.delta",
    "response.reasoning_summary_text.delta",
    "response.output_audio_transcript.delta",
    "response.audio.transcript.delta",
    "response.code_interpreter_call_code.delta",
    "response.mcp_call_arguments.delta",
)
_ARGUMENTS = "response.function_call_arguments.delta"
_INPUT = "response.custom_tool_call_input.delta"

# What an event of the answer is called, or one that ends it.
_KNOWN = ("response.", "error")

# Calls of tools that the caller runs; all others are run, and may be billed, by the upstream.
_CALLERS_OWN = frozenset(
    ["function_call", "custom_tool_call", "computer_call", "local_shell_call", "shell_call", "apply_patch_call"]
)
_TOOL = re.compile("[a-z_]{1,60}_call")

# Why an answer is not complete, in the words of a chat.
_REASONS = {"max_output_tokens": "length"}


def _answer(event: ResponseEvent) -> ApiAnswer:
    is_last = event.type in _LAST
    response = event.response or event
    if isinstance(event.type, str) and not event.type.startswith(_KNOWN):
        return EventAnswer()  # of something that is not this answer, whatever it has
    tools = _tools(event, response, is_whole=is_last or event.type is None)
    calls, text = list(_calls(event)), _text(event)
    choice = AnswerChoice(finish_reason=_reason(response), message=AnswerMessage(content=text, tool_calls=calls))
    return EventAnswer(
        is_last=is_last,
        did=tools,
        started=_job(response, tools) if response.background is True else None,
        id=_str(response.id),
        model=_str(response.model),
        choices=[choice] if choice.finish_reason or calls or text else None,
        usage=told_usage(response.usage),
        service_tier=_str(response.service_tier),
        error={"code": event.code or "error"} if event.type == "error" and not event.error else response.error,
        status_code=response.status_code,
    )


def _job(response: ResponseObject, tools: UpstreamTools | None) -> dict[str, Any] | None:
    used = {"tool_calls": tools.calls, "counted": tools.counted} if tools is not None and tools.are_all else {}
    return job_of(msgspec.structs.asdict(response) | {"object": "response"} | used)


def _tools(event: ResponseEvent, response: ResponseObject, *, is_whole: bool) -> UpstreamTools | None:
    """A whole answer has all calls in its output; a stream tells each as it ends, and may break before the last."""
    usage = response.tool_usage if isinstance(response.tool_usage, dict) else None
    if is_whole and isinstance(response.output, list):
        calls = [kind for item in response.output if (kind := _tool_of(item))]
        if not calls and not usage:
            return None
        return UpstreamTools(usage, dict(Counter(calls)), are_all=True, counted=_counted(response.output))
    kind = _tool_of(event.item) if event.type == "response.output_item.done" else None
    if not kind and not usage:
        return None
    return UpstreamTools(usage, {kind: 1} if kind else {}, counted=_counted([event.item]) if kind else {})


def _counted(output: list[Any]) -> dict[str, int]:
    """What of it is billed beside tokens. Opening a page that was found, or looking for words in it, is no search; a
    container is charged once, however often it is used."""
    items = [item for item in output if isinstance(item, dict)]
    actions = [item.get("action") for item in items if item.get("type") == "web_search_call"]
    searches = [action for action in actions if not isinstance(action, dict) or action.get("type") in (None, "search")]
    files = [item for item in items if item.get("type") == "file_search_call"]
    runs = [item for item in items if item.get("type") == "code_interpreter_call"]
    containers = {str(item.get("container_id")) for item in runs}
    found = {"web_searches": len(searches), "file_searches": len(files), "sessions": len(containers)}
    return {name: count for name, count in found.items() if count}


def _tool_of(item: Any) -> str | None:
    """The type of an item that one of the upstream's own tools made."""
    kind = item.get("type") if isinstance(item, dict) else None
    return kind if isinstance(kind, str) and kind not in _CALLERS_OWN and _TOOL.fullmatch(kind) else None


def _reason(response: ResponseObject) -> str | None:
    if response.status == "completed":
        return "stop"
    if response.status != "incomplete":
        return None
    details = response.incomplete_details
    reason = _str(details.get("reason")) if isinstance(details, dict) else None
    return _REASONS.get(reason, reason) if reason else "incomplete"


def _text(event: ResponseEvent) -> str | None:
    """What is to be seen; in a stream also what was thought, or its summary, and what tools of the upstream's ran."""
    if event.type in _TEXT:
        return _str(event.delta)
    texts = [_written(part) for item in _items(event) if item.get("type") == "message" for part in _parts(item)]
    return "".join(texts) or None


def _calls(event: ResponseEvent) -> Iterator[CalledTool]:
    """Calls of the caller's own tools. A stream tells the name when the call begins, then what it is called with."""
    at = event.output_index if isinstance(event.output_index, int) else 0
    if event.type == _ARGUMENTS:
        yield CalledTool(index=at, function=FunctionCall(arguments=_str(event.delta)))
    elif event.type == _INPUT:
        yield CalledTool(index=at, custom=CustomCall(input=_str(event.delta)))
    elif event.type == "response.output_item.added" and isinstance(event.item, dict):
        yield from _call(event.item, at, named_only=True)
    for position, item in enumerate(_items(event)):
        yield from _call(item, position, named_only=False)


def _call(item: dict[str, Any], at: int, *, named_only: bool) -> Iterator[CalledTool]:
    name = _str(item.get("name"))
    if item.get("type") == "function_call":
        yield CalledTool(index=at, function=FunctionCall(name, None if named_only else _str(item.get("arguments"))))
    elif item.get("type") == "custom_tool_call":
        yield CalledTool(index=at, custom=CustomCall(name, None if named_only else _str(item.get("input"))))


def _items(event: ResponseEvent) -> list[dict[str, Any]]:
    """The output of a body. That of a stream's events has come piece by piece before."""
    output = event.output if event.type is None else None
    return [item for item in output if isinstance(item, dict)] if isinstance(output, list) else []


def _parts(item: dict[str, Any]) -> list[Any]:
    content = item.get("content")
    return content if isinstance(content, list) else []


def _written(part: Any) -> str:
    found = (part.get("text") or part.get("refusal")) if isinstance(part, dict) else None
    return _str(found) or ""


def _str(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _as_chat(request: dict[str, Any]) -> dict[str, Any]:
    """What the server remembers (``previous_response_id``, ``conversation``, ``prompt``) and tools of its own cannot be
    counted here."""
    given = request.get("input")
    items = given if isinstance(given, list) else [given]
    messages = [message for item in items if (message := _message_of(item)) is not None]
    if request.get("instructions"):
        messages.insert(0, {"role": "system", "content": _content_of(request["instructions"])})
    chat: dict[str, Any] = {"messages": messages, "tools": [{"function": tool} for tool in _functions(request)]}
    if isinstance(choice := request.get("tool_choice"), dict):
        chat["tool_choice"] = choice
    wanted = request["text"].get("format") if isinstance(request.get("text"), dict) else None
    if isinstance(wanted, dict) and wanted.get("type") == "json_schema":
        chat["response_format"] = {"json_schema": wanted}
    return chat


def _message_of(item: Any) -> dict[str, Any] | None:
    if isinstance(item, str):
        return {"role": "user", "content": item}
    if not isinstance(item, dict):
        return None
    match item.get("type") or "message":
        case "message":
            return {"role": item.get("role"), "content": _content_of(item.get("content"))}
        case "function_call" | "custom_tool_call":
            return {"role": "assistant", "tool_calls": [{"function": item}]}
        case "function_call_output" | "custom_tool_call_output":
            return {"role": "tool", "content": _content_of(item.get("output"))}
    return None


def _content_of(content: Any) -> Any:
    """Parts have other types here, and an image's link is a text with its detail beside it."""
    if not isinstance(content, list):
        return content
    return [_part_of(part) for part in content]


def _part_of(part: Any) -> Any:
    if isinstance(part, dict) and part.get("type") == "input_image":
        return {"image_url": {"url": part.get("image_url"), "detail": part.get("detail")}}
    return part


def _functions(request: dict[str, Any]) -> list[dict[str, Any]]:
    tools = request.get("tools")
    found = tools if isinstance(tools, list) else []
    return [tool for tool in found if isinstance(tool, dict) and tool.get("type") == "function"]


_READ, _ANSWER_OF = readers(ResponseEvent, _answer)

SURFACE = Surface(
    name="responses",
    title="Responses",
    operation="responses",
    paths=("responses", "responses/compact"),
    socket_paths=("responses",),
    has_deployment_path=False,
    needs_model=False,  # a stored prompt may name it
    prompt="input",
    read_answer=_READ,
    answer_of=_ANSWER_OF,
    # Events say what they are, and the first of them repeat the request, which may have any key.
    output=re.compile(rb'"type"\s*:\s*"response\.[a-z_.]{1,40}\.delta"'),
    ends_with_done=False,
    usage="input_tokens",
    estimate="response",
    as_chat=_as_chat,
    event_operation="Response",
    object_name="response",
    otel_operation="chat",
    openai_api_type="responses",
)
