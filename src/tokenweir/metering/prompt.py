"""Counts what a request asks: chat messages by the rule of OpenAI's cookbook, other inputs as they are.

The corrections to the published rule were fitted to recorded calls. Of plain text 95 in 100 come out exact,
and no call is more than a few tokens off; sounds, files and what the server remembers cannot be counted.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from .counter import Counter, family_of
from .images import image_tokens
from .tools import PREAMBLE, tool_tokens

__all__ = ["chat_tokens", "format_tokens", "input_tokens", "responses_tokens"]

# Of every message, around its role and content.
_MESSAGE = 3

# A message of the old role "function" costs less.
_FUNCTION_MESSAGE = 1

# Around the calls of tools in a message of the model: one, or several in a wrapper.
_ONE_CALL = 7
_SEVERAL_CALLS = 29

# Definitions of tools or of a format are appended to the first system message, which saves a message's frame.
_APPENDED = -4

# What stands around the schema.
_FORMAT_FRAME = 14

# Not shown to the model.
_HIDDEN = {"title", "additionalProperties"}

# Under these keys are names, not keywords.
_MAPS_OF_SCHEMAS = {"properties", "$defs", "definitions"}

_DEEPEST = 20


def chat_tokens(request: dict[str, Any], model: str | None, counter: Counter) -> int:
    """Prompt tokens of a chat request."""
    family = family_of(model)
    definitions = tool_tokens(request, model, counter) + format_tokens(request, counter)
    total = family.priming + definitions
    awaits_system = definitions > 0
    for message in _messages(request):
        appended = awaits_system and message.get("role") in ("system", "developer")
        total += _message_tokens(message, model, counter, "\n" if appended else "")
        if appended:
            awaits_system = False
            total += 0 if family.has_preamble else _APPENDED
    return total


def responses_tokens(chat: dict[str, Any], model: str | None, counter: Counter) -> int:
    """Prompt tokens of a request of the Responses API, as a chat: it has no preamble about tools."""
    preamble = PREAMBLE if chat["tools"] and family_of(model).has_preamble else 0
    return chat_tokens(chat, model, counter) - preamble


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


def _message_tokens(message: dict[str, Any], model: str | None, counter: Counter, ending: str) -> int:
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
    return total + _call_tokens(message, counter)


def _part_tokens(part: Any, model: str | None, counter: Counter) -> int:
    """Text and images. The data of sounds and files is base64 and not counted as text."""
    if not isinstance(part, dict):
        return counter.count(part)
    if "image_url" in part:
        return image_tokens(part["image_url"], model)
    return counter.count(part.get("text")) + counter.count(part.get("refusal"))


def _call_tokens(message: dict[str, Any], counter: Counter) -> int:
    """Tokens of calls that the model made earlier in the conversation."""
    calls = [call for call in _list(message.get("tool_calls")) if isinstance(call, dict)]
    called = [call.get("function") or call.get("custom") for call in calls] or [message.get("function_call")]
    functions = [function for function in called if isinstance(function, dict)]
    if not functions:
        return 0
    keys = ("name", "arguments", "input")
    written = sum(counter.count(function.get(key)) for function in functions for key in keys)
    return written + (_ONE_CALL if len(functions) == 1 else _SEVERAL_CALLS)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def format_tokens(request: dict[str, Any], counter: Counter) -> int:
    """Tokens that ``response_format`` adds: a JSON schema's, or 0; plain JSON mode is free."""
    wanted = request.get("response_format")
    schema = wanted.get("json_schema") if isinstance(wanted, dict) else None
    if not isinstance(schema, dict):
        return 0
    description = f"// {schema['description']}\n" if isinstance(schema.get("description"), str) else ""
    shown = msgspec.json.encode(_shown(schema.get("schema"), _DEEPEST)).decode()
    name = schema.get("name")
    heading = f"# Response Formats\n\n## {name if isinstance(name, str) else ''}\n\n"
    return counter.count(heading + description + shown) + _FORMAT_FRAME


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
        if key not in _HIDDEN
    }
