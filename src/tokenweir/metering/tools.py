"""Tool definitions as the model sees them: a TypeScript namespace, which is what is counted.

The rendering is not published. Its outline was found by users from the counts it gives
(hmarr/openai-chat-tokens); titles, defaults and inner objects were fitted to recorded calls.
"""

from collections.abc import Iterator
from typing import Any

from .counter import Counter, family_of

__all__ = ["tool_tokens"]

# Around the namespace: a heading, and a preamble in the families that have channels. The Responses API has a shorter
# heading and no preamble.
_HEADING = 9
_HEADING_IN_RESPONSES = 3
_PREAMBLE = 81

# Naming the one tool that must be called costs its name and this much, and so does forbidding parallel calls.
_FORCED = 4
_ONE_AT_A_TIME = 3

# A definition may refer to itself, or many times to something long. Rendering stops at this depth, and after
# this many characters: a hundred thousand tokens, more than anybody gives a model as tools. Lists of required
# members and references are read no further than any upstream would.
_DEEPEST = 10
_MOST_CHARACTERS = 400_000
_MOST_REQUIRED = 1_000
_LONGEST_REFERENCE = 200

Schema = dict[str, Any]


def tool_tokens(request: Schema, model: str | None, counter: Counter, *, in_responses: bool = False) -> int:
    """Tokens that a request's tools, and the choice of one, add to its messages; 0 without tools."""
    functions = _functions(request)
    if not functions:
        return 0
    family = family_of(model)
    tokens = counter.count("\n".join(_namespace(functions))) + family.tools
    if family.has_channels:
        return tokens + _HEADING + (0 if in_responses else _PREAMBLE)
    if in_responses:
        return tokens + _HEADING_IN_RESPONSES
    # A function whose first parameter has no comment above it counts one less.
    tokens -= sum(_begins_bare(function) for function in functions)
    one_at_a_time = _ONE_AT_A_TIME if request.get("parallel_tool_calls") is False else 0
    return tokens + _HEADING + _forced(request, counter) + one_at_a_time


def _functions(request: Schema) -> list[Schema]:
    """Function definitions, in ``tools`` or in the older ``functions``."""
    tools = _list(request.get("tools"))
    wrapped = [tool.get("function") for tool in tools if isinstance(tool, dict)]
    found = [*wrapped, *_list(request.get("functions"))]
    return [function for function in found if isinstance(function, dict)]


def _forced(request: Schema, counter: Counter) -> int:
    choice = _dict(request.get("tool_choice")) or _dict(request.get("function_call"))
    name = choice.get("name") or _dict(choice.get("function")).get("name")
    return counter.count(name) + _FORCED if name else 0


def _begins_bare(function: Schema) -> bool:
    parameters = _dict(_dict(function.get("parameters")).get("properties"))
    first = next(iter(parameters.values()), None)
    return isinstance(first, dict) and not (first.get("title") or first.get("description"))


def _namespace(functions: list[Schema]) -> Iterator[str]:
    left = _MOST_CHARACTERS
    yield "namespace functions {\n"
    for function in functions:
        rendering = _Rendering(_dict(function.get("parameters")), left)
        yield from rendering.function(function)
        left = rendering.left
    yield "} // namespace functions"


class _Rendering:
    """One function as TypeScript, of about ``left`` characters at most; every step takes some of them."""

    def __init__(self, root: Schema, left: int) -> None:
        self._root = root
        self.left = left

    def function(self, function: Schema) -> Iterator[str]:
        yield from self._comments("", function.get("description"), self._root.get("title"))
        name = self._plain(function.get("name"))
        members = list(self._members(self._root, 0))
        if members:
            yield f"type {name} = (_: {{"
            yield from members
            yield "}) => any;\n"
        else:
            yield f"type {name} = () => any;\n"

    def _members(self, schema: Schema, depth: int) -> Iterator[str]:
        """Each member on a line, under its comments."""
        required = _list(schema.get("required"))[:_MOST_REQUIRED]
        indent = "  " * depth
        for name, member in _dict(schema.get("properties")).items():
            self.left -= 1
            if self.left <= 0:
                return
            if not isinstance(member, dict):
                continue
            yield from self._comments(indent, member.get("title"), member.get("description"))
            optional = "" if name in required else "?"
            default = f" // default: {self._plain(member['default'])}" if "default" in member else ""
            yield f"{indent}{self._plain(name)}{optional}: {self._type(member, depth)},{default}"

    def _type(self, schema: Any, depth: int) -> str:
        self.left -= 1
        if not isinstance(schema, dict) or depth >= _DEEPEST:
            return self._plain("any")
        if isinstance(schema.get("$ref"), str):
            schema = self._resolve(schema["$ref"])
        kind = schema.get("type")
        alternatives = schema.get("anyOf") or schema.get("oneOf")
        if isinstance(alternatives, list):
            return self._either(alternatives, depth + 1)
        if isinstance(kind, list):
            shape = {key: schema[key] for key in ("items", "properties", "required") if key in schema}
            return self._either([shape | {"type": one} for one in kind], depth + 1)
        if isinstance(schema.get("enum"), list):
            return " | ".join(self._literals(schema["enum"]))
        if kind == "array":
            return f"{self._type(schema.get('items'), depth + 1)}[]"
        if kind == "object":
            return "\n".join(["{", *self._members(schema, depth + 1), "  " * depth + "}"])
        return self._plain("number" if kind == "integer" else kind or "any")

    def _either(self, schemas: list[Any], depth: int) -> str:
        types = []
        for schema in schemas:
            kind = self._type(schema, depth)
            if self.left <= 0:
                break
            types.append(kind)
        return " | ".join(types)

    def _literals(self, values: list[Any]) -> Iterator[str]:
        for value in values:
            text = self._plain(value)
            if self.left <= 0:
                return
            yield f'"{text}"' if isinstance(value, str) else text

    def _comments(self, indent: str, *texts: Any) -> Iterator[str]:
        """Each line of a text as a comment; empty lines and the spaces around lines are left out."""
        for text in texts:
            if isinstance(text, str):
                for line in self._plain(text).split("\n"):
                    if stripped := line.strip():
                        yield f"{indent}// {stripped}"

    def _plain(self, value: Any) -> str:
        """A scalar as JSON has it, strings without quotes; within the limit."""
        if isinstance(value, bool):
            text = str(value).lower()
        elif value is None:
            text = "null"
        else:
            text = str(value)[: max(self.left, 0)] if isinstance(value, (str, int, float)) else "any"
        self.left -= len(text) + 1
        return text

    def _resolve(self, reference: str) -> Schema:
        """What a ``#/$defs/Name`` points to."""
        if len(reference) > _LONGEST_REFERENCE:
            return {}
        found: Any = self._root
        for key in reference.removeprefix("#/").split("/"):
            found = _dict(found).get(key)
        return _dict(found)


def _dict(value: Any) -> Schema:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
