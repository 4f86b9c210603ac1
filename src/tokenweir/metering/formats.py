"""The schema of a structured answer, as it stands in the prompt.

The rendering is the one of OpenAI's open models (a heading, the name, the schema as JSON), and was checked
against recorded calls: half come out exact, the others within a few tokens.
"""

from typing import Any

import msgspec

from .counter import Counter

__all__ = ["format_tokens"]

# What stands around the schema.
_FRAME = 14

# Not shown to the model.
_HIDDEN = {"title", "additionalProperties"}

# Under these keys are names, not keywords.
_NAMES = {"properties", "$defs", "definitions"}

_DEEPEST = 20


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
    return counter.count(heading + description + shown) + _FRAME


def _shown(value: Any, depth: int) -> Any:
    if not depth:
        return None
    if isinstance(value, list):
        return [_shown(item, depth - 1) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: {name: _shown(inner, depth - 1) for name, inner in member.items()}
        if key in _NAMES and isinstance(member, dict)
        else _shown(member, depth - 1)
        for key, member in value.items()
        if key not in _HIDDEN
    }
