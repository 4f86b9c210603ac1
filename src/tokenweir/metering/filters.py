"""Which content filters acted: the names of Azure's categories with ``"filtered": true``.

They sit under ``prompt_filter_results``, ``content_filter_results`` or, in the error of a blocked prompt,
``innererror.content_filter_result``; each is ``{category: {"filtered": …}}``, block lists once a list.
"""

from typing import Any

from ..wire import decode_json

__all__ = ["filtered_categories", "filtered_in", "mentions_filtered"]

# Deeper than any of Azure's shapes; an answer nested without end is not followed.
_DEEPEST = 8


def mentions_filtered(raw: bytes) -> bool:
    """Whether a filter can have acted at all: most answers need no closer look."""
    # `in` asks first whether what is looked for is a number, which costs an exception
    return raw.find(b'"filtered":true') >= 0 or raw.find(b'"filtered": true') >= 0


def filtered_categories(data: bytes) -> dict[str, None]:
    """Categories of one JSON answer that were filtered, in its order."""
    found: dict[str, None] = {}
    if mentions_filtered(data):
        _collect(decode_json(data), "filtered", found, _DEEPEST)
    return found


def filtered_in(answer: dict[str, Any]) -> dict[str, None]:
    """Categories of an answer that is decoded."""
    found: dict[str, None] = {}
    _collect(answer, "filtered", found, _DEEPEST)
    return found


def _collect(value: Any, name: str, found: dict[str, None], depth: int) -> None:
    if not depth:
        return
    if isinstance(value, list):
        for item in value:
            _collect(item, name, found, depth - 1)
    elif isinstance(value, dict):
        if value.get("filtered") is True:
            found[name] = None
        else:
            for key, inner in value.items():
                _collect(inner, key, found, depth - 1)
