"""A request of the Responses API as the chat that it amounts to, so that one set of rules counts both.

What the server remembers (``previous_response_id``, ``conversation``, ``prompt``) and tools of its own cannot be
counted here.
"""

from typing import Any

__all__ = ["as_chat"]

_Object = dict[str, Any]


def as_chat(request: _Object) -> _Object:
    """A chat request with the same words in it; whatever has an odd shape is left out."""
    given = request.get("input")
    items = given if isinstance(given, list) else [given]
    messages = [message for item in items if (message := _message(item)) is not None]
    if request.get("instructions"):
        messages.insert(0, {"role": "system", "content": _content(request["instructions"])})
    chat: _Object = {"messages": messages, "tools": [{"function": tool} for tool in _functions(request)]}
    if isinstance(choice := request.get("tool_choice"), dict):
        chat["tool_choice"] = choice
    wanted = request["text"].get("format") if isinstance(request.get("text"), dict) else None
    if isinstance(wanted, dict) and wanted.get("type") == "json_schema":
        chat["response_format"] = {"json_schema": wanted}
    return chat


def _message(item: Any) -> _Object | None:
    if isinstance(item, str):
        return {"role": "user", "content": item}
    if not isinstance(item, dict):
        return None
    match item.get("type") or "message":
        case "message":
            return {"role": item.get("role"), "content": _content(item.get("content"))}
        case "function_call" | "custom_tool_call":
            return {"role": "assistant", "tool_calls": [{"function": item}]}
        case "function_call_output" | "custom_tool_call_output":
            return {"role": "tool", "content": _content(item.get("output"))}
    return None


def _content(content: Any) -> Any:
    """Parts have other types here, and an image's link is a text with its detail beside it."""
    if not isinstance(content, list):
        return content
    return [_part(part) for part in content]


def _part(part: Any) -> Any:
    if isinstance(part, dict) and part.get("type") == "input_image":
        return {"image_url": {"url": part.get("image_url"), "detail": part.get("detail")}}
    return part


def _functions(request: _Object) -> list[_Object]:
    tools = request.get("tools")
    found = tools if isinstance(tools, list) else []
    return [tool for tool in found if isinstance(tool, dict) and tool.get("type") == "function"]
