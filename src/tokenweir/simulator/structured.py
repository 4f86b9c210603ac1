"""Text that a schema asks for, and the tokens it is made of."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import msgspec

from .. import vocabulary

__all__ = ["counted_pieces", "json_for", "one_token_each", "schema_of"]

_PIECE = re.compile(r" ?[^\W\d_]+|\d+|[^\w\s]+|.", re.DOTALL)

# Schemas refer to themselves.
_DEEPEST = 12
_MOST_ITEMS = 100


def schema_of(chat: dict[str, Any]) -> dict[str, Any] | None:
    """The schema that a chat's answer has to fit: of any object in JSON mode; None for text."""
    wanted = chat.get("response_format")
    if not isinstance(wanted, dict):
        return None
    if wanted.get("type") == "json_object":
        return {"properties": {"answer": {"type": "string"}}}
    told = wanted.get("json_schema") if wanted.get("type") == "json_schema" else None
    return told.get("schema") or {} if isinstance(told, dict) else None


def json_for(schema: Any, filler: str) -> str:
    """The least object that a schema asks for, as JSON; its first free text is the filler."""
    if not isinstance(schema, dict):
        return "{}"
    made = _Maker(schema, filler).value(schema, 0)
    return msgspec.json.encode(made if isinstance(made, dict) else {}).decode()


class _Maker:
    """Makes values by one schema, whose definitions its references name."""

    def __init__(self, root: dict[str, Any], filler: str) -> None:
        self._root = root
        self._filler = filler

    def value(self, schema: Any, depth: int) -> Any:
        schema = self._resolved(schema)
        if depth > _DEEPEST:
            return None
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return schema["enum"][0]
        for alternatives in ("anyOf", "oneOf", "allOf"):
            if isinstance(schema.get(alternatives), list) and schema[alternatives]:
                return self.value(schema[alternatives][0], depth + 1)
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = next((one for one in kind if one != "null"), None)
        match kind or ("object" if "properties" in schema else None):
            case "object":
                return self._object(schema, depth)
            case "integer" | "number":
                return max(1, schema.get("minimum") or 1)
            case "boolean":
                return True
            case "null":
                return None
            case "array":
                items = schema.get("items")
                return (
                    [self.value(items, depth + 1) for _ in range(max(1, schema.get("minItems") or 1))] if items else []
                )
            case _:
                text, self._filler = self._filler, "river"
                return text

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties") or {}
        return {name: self.value(properties.get(name), depth + 1) for name in schema.get("required") or properties}

    def _resolved(self, schema: Any) -> dict[str, Any]:
        for _ in range(_DEEPEST):
            reference = schema.get("$ref") if isinstance(schema, dict) else None
            if not isinstance(reference, str):
                break
            schema = self._root
            for step in reference.removeprefix("#").strip("/").split("/"):
                schema = schema.get(step) if isinstance(schema, dict) and step else schema
        return schema if isinstance(schema, dict) else {}


@lru_cache(maxsize=256)
def one_token_each(text: str, encoding: str) -> tuple[str, ...]:
    """A text cut at its tokens. A character that takes several tokens comes with the last, after empty ones."""
    encoder = vocabulary.load(encoding)
    pieces, held = [], b""
    for token in encoder.encode_ordinary(text):
        held += encoder.decode_single_token_bytes(token)
        try:
            piece = held.decode()
        except UnicodeDecodeError:
            pieces.append("")
            continue
        pieces.append(piece)
        held = b""
    return tuple(pieces)


@lru_cache(maxsize=256)
def counted_pieces(text: str, encoding: str) -> tuple[tuple[str, int], ...]:
    """A text in pieces, each with what it adds to the count of the text before it."""
    return tuple(_added(_PIECE.findall(text), encoding))


def _added(pieces: list[str], encoding: str) -> Iterator[tuple[str, int]]:
    so_far, counted = "", 0
    for piece in pieces:
        so_far += piece
        total = vocabulary.count(so_far, encoding)
        yield piece, total - counted
        counted = total
