"""Pictures: made of a text, or of other pictures, whose requests are JSON or forms with files.

Newer models tell tokens, of which all that were written are a picture's where nothing else is said; older ones tell
nothing, and are billed by the picture. A stream tells the usage of each picture in the event that brings it whole.
MAI's and FLUX's answers have the same shape. Source: openai-python's types of 2026-08.
"""

import re
from typing import Any

import msgspec

from ..wire import Path
from .digest import FACTS, readers, told_error, told_usage
from .structs import ApiAnswer, EventAnswer, UpstreamTools
from .surface import Surface

__all__ = ["EDITS", "GENERATIONS", "VARIATIONS"]

_COMPLETED = ("image_generation.completed", "image_edit.completed")
# Of a picture in a body too long to be decoded it is enough to know that it is there.
_FACTS: dict[Path, int] = {**FACTS, ("data", "*", "b64_json"): 0, ("data", "*", "url"): 0}


class _Event(msgspec.Struct, gc=False):
    """An event, or a body, which has no type."""

    type: Any = None
    model: Any = None
    data: Any = None
    usage: Any = None
    error: Any = None
    code: Any = None
    status_code: Any = msgspec.field(default=None, name="statusCode")


def _answer(event: _Event) -> ApiAnswer:
    made = 1 if event.type in _COMPLETED else len(event.data) if isinstance(event.data, list) else 0
    return EventAnswer(
        did=UpstreamTools(counted={"images": made}) if made else None,
        model=event.model if isinstance(event.model, str) else None,
        usage=told_usage(event.usage),
        is_last=event.type in _COMPLETED,
        error=told_error(event.type, event.code, event.error),
        status_code=event.status_code,
    )


def _counts(usage: dict[str, Any]) -> dict[str, Any]:
    if isinstance(usage.get("output_tokens_details"), dict):
        return usage
    return {**usage, "output_tokens_details": {"image_tokens": usage.get("output_tokens")}}


_READ, _ANSWER_OF = readers(_Event, _answer, _FACTS)

GENERATIONS = Surface(
    name="images_generations",
    title="Images",
    operation="images/generations",
    paths=("images/generations",),
    needs_model=False,
    prompt="prompt",
    read_answer=_READ,
    answer_of=_ANSWER_OF,
    facts=_FACTS,
    output=re.compile(rb'"type"\s*:\s*"image_(?:generation|edit)\.'),
    ends_with_done=False,
    usage="input_tokens",
    counts_of=_counts,
    units=("tokens", "images"),
    otel_operation="generate_content",
)

EDITS = msgspec.structs.replace(
    GENERATIONS,
    name="images_edits",
    title="Edited images",
    operation="images/edits",
    paths=("images/edits",),
    body="either",
)

VARIATIONS = msgspec.structs.replace(
    GENERATIONS,
    name="images_variations",
    title="Variations of images",
    operation="images/variations",
    paths=("images/variations",),
    body="either",
    units=("images",),
)
