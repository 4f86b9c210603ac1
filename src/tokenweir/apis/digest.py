"""The facts of an answer that is too long to be decoded, or that a strict reader refuses: its members, one by one.

It knows where facts stand, not what they mean: what it finds is put together as an answer of the same shape, without
the texts, pictures, vectors and log probabilities in between.
"""

import json
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from ..wire import MemberScanner, Path, decode_json, mend_json
from .structs import ApiAnswer

__all__ = ["FACTS", "digest", "digest_of", "readers", "told_error", "told_usage"]

Shape = TypeVar("Shape")

_NAME = 4 * 1024
_OBJECT = 64 * 1024

# Of an answer, and of the response in an event of the Responses API.
_OF_AN_ANSWER: dict[Path, int] = {
    ("id",): _NAME,
    ("model",): _NAME,
    ("object",): _NAME,
    ("status",): _NAME,
    ("service_tier",): _NAME,
    ("usage",): _OBJECT,
    ("tool_usage",): _OBJECT,
    ("error",): _OBJECT,
    ("incomplete_details",): _NAME,
    ("background",): _NAME,
    ("created_at",): _NAME,
    ("completed_at",): _NAME,
    ("content_filters",): _OBJECT,
    ("output", "*", "type"): _NAME,
    ("output", "*", "status"): _NAME,
    ("output", "*", "action", "type"): _NAME,
    ("output", "*", "container_id"): _NAME,
}
FACTS: dict[Path, int] = {
    **_OF_AN_ANSWER,
    **{("response", *path): limit for path, limit in _OF_AN_ANSWER.items()},
    ("type",): _NAME,
    ("code",): _NAME,
    ("stream_id",): _NAME,
    ("item", "type"): _NAME,
    ("item", "action", "type"): _NAME,
    ("item", "container_id"): _NAME,
    ("statusCode",): _NAME,
    ("prompt_filter_results",): _OBJECT,
    ("choices", "*", "index"): _NAME,
    ("choices", "*", "finish_reason"): _NAME,
    ("choices", "*", "content_filter_results"): _NAME,
}
"""Where facts stand, and the most bytes of each."""


def readers(
    shape: type[Shape], answer: Callable[[Shape], ApiAnswer], paths: dict[Path, int] = FACTS
) -> tuple[Callable[[bytes], ApiAnswer | None], Callable[[dict[str, Any]], ApiAnswer | None]]:
    """``read_answer`` and ``answer_of`` of a surface whose bodies and events have a ``shape`` of their own; where no
    strict reader can build it, it is built of the facts at ``paths``. ``answer`` says what it amounts to."""
    decode = msgspec.json.Decoder(shape).decode

    def of_facts(facts: dict[str, Any]) -> ApiAnswer | None:
        try:
            return answer(msgspec.convert(facts, shape))
        except (ValueError, RecursionError, OverflowError):
            return None

    def read(data: bytes) -> ApiAnswer | None:
        try:
            return answer(decode(data))
        except (ValueError, RecursionError):
            pass
        try:
            return answer(decode(mend_json(data)))
        except (ValueError, RecursionError):
            facts = digest_of(data, paths)
            return None if facts is None else of_facts(facts)

    return read, of_facts


def digest_of(data: bytes, paths: dict[Path, int] = FACTS) -> dict[str, Any] | None:
    """The facts of a whole JSON object; None if this is none."""
    scanner = MemberScanner(paths)
    scanner.feed(data)
    return digest(scanner) if scanner.is_whole and not scanner.is_invalid else None


def digest(scanner: MemberScanner) -> dict[str, Any]:
    """The facts that a scanner has found so far."""
    facts: dict[str, Any] = {}
    for path, members in scanner.members.items():
        for member in members:
            if member.raw is not None:
                _put(facts, path, member.item, _lenient(member.raw))
            elif "*" in path:  # an item that is there, whatever it says
                _put(facts, path, member.item, None)
    return facts


def told_usage(value: Any) -> dict[str, Any] | None:
    """A ``usage`` as an object. One that is none is put into one, so that it does not pass for a missing one."""
    return value if isinstance(value, dict) or value is None else {"usage": value}


def told_error(kind: Any, code: Any, error: Any) -> Any:
    """The error of an event: one that is an error itself has a ``code`` in its place."""
    return {"code": code or "error"} if kind == "error" and not error else error


def _put(facts: dict[str, Any], path: Path, item: int, value: Any) -> None:
    place: Any = facts
    for name, below in zip(path, path[1:], strict=False):
        if name == "*":
            place.extend({} for _ in range(item + 1 - len(place)))
            place = place[item]
        else:
            place = place.setdefault(name, [] if below == "*" else {})
    place[path[-1]] = value


def _lenient(raw: bytes) -> Any:
    """A value as far as anybody can read it: with ``NaN``, and numbers beyond all measure, which are infinite."""
    value = decode_json(raw)
    if value is None and raw != b"null":
        try:
            value = json.loads(raw.decode(errors="replace").encode("utf-8", "replace"))
        except (ValueError, RecursionError):
            return None
    return value
