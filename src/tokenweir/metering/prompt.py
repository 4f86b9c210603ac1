"""Counts what a request asks: chat messages by the rule of OpenAI's cookbook, other inputs as they are.

The corrections to the published rule were fitted to recorded calls; how good they are is in docs/guides/estimates.md.
Sounds, files and what the server remembers cannot be counted.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from .counter import Counter, family_of
from .images import image_tokens
from .tools import tool_tokens

__all__ = ["chat_tokens", "format_tokens", "input_tokens"]

# Of every message, around its role and content.
_MESSAGE = 3

# A message of the old role "function" costs less.
_FUNCTION_MESSAGE = 1

# Around the calls of tools in a message of the model: one, whose result repeats its name, or several in a wrapper.
_ONE_CALL = 5
_ONE_CALL_IN_RESPONSES = 6
_SEVERAL_CALLS = 29

# The same in families with channels; a text has one too, and of several calls each has its own.
_CHANNEL = 2
_ONE_CALL_ON_CHANNEL = 12
_EACH_CALL_ON_CHANNEL = 14

# Definitions of tools or of a format are appended to the first system message, which saves a message's frame.
_APPENDED = -4

# What stands around the schema; less of it in the Responses API.
_FORMAT_FRAME = 14
_FORMAT_FRAME_IN_RESPONSES = 6

# Not shown to the model, as empty descriptions are not.
_HIDDEN = {"title", "additionalProperties", "$schema"}

# Under these keys are names, not keywords.
_MAPS_OF_SCHEMAS = {"properties", "$defs", "definitions"}

_DEEPEST = 20


def chat_tokens(request: dict[str, Any], model: str | None, counter: Counter, *, in_responses: bool = False) -> int:
    """Prompt tokens of a chat request, or of a request of the Responses API as a chat."""
    family = family_of(model)
    definitions = tool_tokens(request, model, counter, in_responses=in_responses)
    definitions += format_tokens(request, counter, in_responses=in_responses)
    total = family.priming + definitions
    awaits_system = definitions > 0
    saves_frame = not family.has_channels and not in_responses
    for message in _messages(request):
        appended = awaits_system and message.get("role") in ("system", "developer")
        total += _message_tokens(message, model, counter, "\n" if appended else "", in_responses=in_responses)
        if appended:
            awaits_system = False
            total += _APPENDED if saves_frame else 0
    return total


def input_tokens(value: Any, counter: Counter) -> int:
    """Tokens of an embedding's ``input`` or a completion's ``prompt``: text, token numbers, or lists of both."""
    if isinstance(value, str):
        return counter.count(value)
    if not isinstance(value, list):
        return 0
    return sum(1 if isinstance(item, int) else _item_tokens(item, counter) for item in value)


def _item_tokens(item: Any, counter: Counter) -> int:
    return len(item) if isinstance(item, list) else counter.count(item)


def _messages(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    messages = request.get("messages")
    return (message for message in _list(messages) if isinstance(message, dict))


def _message_tokens(
    message: dict[str, Any], model: str | None, counter: Counter, ending: str, *, in_responses: bool
) -> int:
    role = message.get("role")
    total = _FUNCTION_MESSAGE if role == "function" else _MESSAGE
    total += counter.count(role)
    if message.get("name") and role != "tool":
        total += counter.count(message["name"]) + 1
    content = message.get("content")
    if isinstance(content, str):
        total += counter.count(content + ending)
    for part in _list(content):
        total += _part_tokens(part, model, counter)
    if role != "assistant":
        return total
    on_channel = family_of(model).has_channels
    one_call = _ONE_CALL_ON_CHANNEL if on_channel else _ONE_CALL_IN_RESPONSES if in_responses else _ONE_CALL
    return total + (_call_tokens(message, counter, one_call, on_channel) or (_CHANNEL if on_channel else 0))


def _part_tokens(part: Any, model: str | None, counter: Counter) -> int:
    """Text and images. The data of sounds and files is base64 and not counted as text."""
    if not isinstance(part, dict):
        return counter.count(part)
    if "image_url" in part:
        return image_tokens(part["image_url"], model)
    return counter.count(part.get("text")) + counter.count(part.get("refusal"))


def _call_tokens(message: dict[str, Any], counter: Counter, one_call: int, on_channel: bool) -> int:
    """Tokens of calls that the model made earlier in the conversation."""
    functions = _called(message)
    written = sum(_written(function, counter) for function in functions)
    if not functions:
        return 0
    if len(functions) == 1:
        return written + counter.count(functions[0].get("name")) + one_call
    return written + (_EACH_CALL_ON_CHANNEL * len(functions) - _MESSAGE - 1 if on_channel else _SEVERAL_CALLS)


def _called(message: dict[str, Any]) -> list[dict[str, Any]]:
    calls = [call for call in _list(message.get("tool_calls")) if isinstance(call, dict)]
    called = [call.get("function") or call.get("custom") for call in calls] or [message.get("function_call")]
    return [function for function in called if isinstance(function, dict)]


def _written(function: dict[str, Any], counter: Counter) -> int:
    """Name and arguments. The model sees JSON without the spaces that a client may have put into it."""
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        try:
            arguments = msgspec.json.format(arguments, indent=-1)
        except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
            pass  # whatever it is, it is seen as it is
    return sum(counter.count(text) for text in (function.get("name"), arguments, function.get("input")))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def format_tokens(request: dict[str, Any], counter: Counter, *, in_responses: bool = False) -> int:
    """Tokens that ``response_format`` adds: a JSON schema's, or 0; plain JSON mode is free."""
    wanted = request.get("response_format")
    schema = wanted.get("json_schema") if isinstance(wanted, dict) else None
    if not isinstance(schema, dict):
        return 0
    description = f"// {schema['description']}\n" if isinstance(schema.get("description"), str) else ""
    shown = msgspec.json.encode(_shown(schema.get("schema"), _DEEPEST)).decode()
    name = schema.get("name")
    heading = f"# Response Formats\n\n## {name if isinstance(name, str) else ''}\n\n"
    frame = _FORMAT_FRAME_IN_RESPONSES if in_responses else _FORMAT_FRAME
    return counter.count(heading + description + shown) + frame


def _shown(value: Any, depth: int) -> Any:
    if not depth:
        return None
    if isinstance(value, list):
        return [_shown(item, depth - 1) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: {name: _shown(inner, depth - 1) for name, inner in member.items()}
        if key in _MAPS_OF_SCHEMAS and isinstance(member, dict)
        else _shown(member, depth - 1)
        for key, member in value.items()
        if key not in _HIDDEN and not (key == "description" and member == "")
    }
