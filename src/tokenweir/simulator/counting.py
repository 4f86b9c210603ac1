"""How many tokens a prompt has: the published rule, with what recordings of real calls add to it.

Written apart from ``metering`` on purpose: this is what its estimates are compared with.

  each message      3 + role + text parts + (name + 1)
  priming           3 once; 2 for reasoning models (50 of 58 recordings)
  tools             rendered as a TypeScript namespace, + 9, − 4 with a system message (whose text gets
                    a newline); a forced choice adds its name + 4; gpt-5 adds a preamble of about 80
  pictures          flat: 85 at low detail, 765 otherwise (a square of 1024 on the tile models)
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from .. import vocabulary

__all__ = ["chat_tokens", "input_tokens", "namespace"]

_MESSAGE = 3
_PRIME = 3
_TOOL_CALL = 5
_TOOLS = 9
_TOOLS_WITH_SYSTEM = -4
_FORCED_CHOICE = 4
_GPT5_TOOLS = 80
_PICTURE, _SMALL_PICTURE = 765, 85


def chat_tokens(body: dict[str, Any], model: str, encoding: str) -> int:
    """The prompt tokens of a chat completion request."""

    def count(text: Any) -> int:
        return vocabulary.count(text, encoding) if isinstance(text, str) else 0

    tools = [_function(tool) for tool in _dicts(body.get("tools"))]
    messages = _dicts(body.get("messages"))
    total = _PRIME - _is_reasoning(model)
    for message in messages:
        role = message.get("role")
        total += _MESSAGE + count(role)
        if isinstance(message.get("name"), str):
            total += count(message["name"]) + 1
        for text in _texts(message.get("content")):
            total += count(text + "\n" if tools and role == "system" else text)
        for part in _dicts(message.get("content")):
            if part.get("type") == "image_url":
                total += _picture(part)
        for call in _dicts(message.get("tool_calls")):
            called = _function(call)
            total += count(called.get("name")) + count(called.get("arguments")) + _TOOL_CALL
    if tools:
        total += count(namespace(tools)) + _TOOLS
        if any(message.get("role") == "system" for message in messages):
            total += _TOOLS_WITH_SYSTEM
        if model.startswith("gpt-5"):
            total += _GPT5_TOOLS
        choice = body.get("tool_choice")
        if isinstance(choice, dict):
            total += count(_function(choice).get("name")) + _FORCED_CHOICE
    wanted = body.get("response_format")
    if isinstance(wanted, dict) and isinstance(wanted.get("json_schema"), dict):
        total += count(msgspec.json.encode(wanted["json_schema"]).decode())
    return total


def input_tokens(value: Any, encoding: str) -> int:
    """The tokens of a ``prompt`` or an ``input``: a text, a list of texts, or token numbers."""
    if isinstance(value, str):
        return vocabulary.count(value, encoding)
    if isinstance(value, list):
        return sum(1 if isinstance(item, int) else input_tokens(item, encoding) for item in value)
    return 0


def _is_reasoning(model: str) -> bool:
    return model.startswith(("o1", "o3", "o4", "gpt-5"))


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _function(tool: dict[str, Any]) -> dict[str, Any]:
    function = tool.get("function")
    return function if isinstance(function, dict) else {}


def _texts(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    for part in _dicts(content):
        if isinstance(part.get("text"), str):
            yield part["text"]


def _picture(part: dict[str, Any]) -> int:
    image = part.get("image_url")
    low = isinstance(image, dict) and image.get("detail") == "low"
    return _SMALL_PICTURE if low else _PICTURE


def namespace(functions: list[dict[str, Any]]) -> str:
    """Tools as the model sees them."""
    lines = ["namespace functions {", ""]
    for function in functions:
        if description := function.get("description"):
            lines.append(f"// {description}")
        parameters = function.get("parameters")
        if isinstance(parameters, dict) and parameters.get("properties"):
            lines.append(f"type {function.get('name')} = (_: {{")
            lines += _members(parameters, indent=0)
            lines.append("}) => any;")
        else:
            lines.append(f"type {function.get('name')} = () => any;")
        lines.append("")
    lines.append("} // namespace functions")
    return "\n".join(lines)


def _members(schema: dict[str, Any], indent: int) -> Iterator[str]:
    required = schema.get("required") or []
    for name, member in schema.get("properties", {}).items():
        if description := member.get("description"):
            yield " " * indent + f"// {description}"
        mark = "" if name in required else "?"
        yield " " * indent + f"{name}{mark}: {_type(member, indent)},"


def _type(schema: dict[str, Any], indent: int) -> str:
    if "enum" in schema:
        return " | ".join(msgspec.json.encode(value).decode() for value in schema["enum"])
    kind = schema.get("type")
    if kind == "array":
        items = schema.get("items")
        return f"{_type(items, indent)}[]" if isinstance(items, dict) else "any[]"
    if kind == "object":
        return "\n".join(["{", *_members(schema, indent + 2), " " * indent + "}"])
    return "number" if kind == "integer" else str(kind or "any")
