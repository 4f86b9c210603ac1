"""Reads an upstream's ``usage`` object, whose shape differs by API, into the one noun for quantities.

    chat_completions, completions     prompt_tokens, completion_tokens, and ``*_tokens_details`` since 2024
    embeddings                        prompt_tokens, total_tokens
    responses, images                 input_tokens, output_tokens, and ``*_tokens_details``
    realtime, transcription           input_tokens, output_tokens, and ``*_token_details``

Old api-versions leave details out, others send them as null; both mean 0. Siblings that are not known
here (``latency_checkpoint``, partner models' own counts) are ignored and kept in
``raw``. Nothing that an upstream may say is an error: what is no count is passed over, and the others are read.
"""

from typing import Any

import msgspec

from ..apis import surface_of
from ..records import LARGEST_AMOUNT, Quantity, Usage
from .measurement import CachedCounts, DetailCounts, UsageCounts

__all__ = ["merged", "read_usage", "tells_counts"]

_NO_DETAILS = DetailCounts()
_NO_CACHED = CachedCounts()
_NO_QUANTITIES: dict[str, Quantity] = {}
_DETAILS = {
    name for name in (*UsageCounts.__struct_fields__, *DetailCounts.__struct_fields__) if name.endswith("_details")
}
_NAMES = {*UsageCounts.__struct_fields__, *DetailCounts.__struct_fields__} - _DETAILS
_NEEDED = ("prompt_tokens", "completion_tokens", "input_tokens", "output_tokens")


def tells_counts(usage: dict[str, Any]) -> bool:
    """Whether it says how much was used: at least one count, and none of those that matter is something else."""
    sent, written = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if type(sent) is int and type(written) is int and 0 <= sent < LARGEST_AMOUNT and 0 <= written < LARGEST_AMOUNT:
        return True
    tells = False
    for name in _NEEDED:
        value = usage.get(name)
        if value is not None:
            if not _is_count(value):
                return False
            tells = True
    return tells or any(_is_amount(usage.get(name)) for name in ("total_tokens", "seconds", "search_units"))


def merged(earlier: dict[str, Any], later: dict[str, Any]) -> dict[str, Any]:
    """Two usages of one answer as one. Each member of the later one counts, but a count that was told is not undone
    by a later 0 or null; the total is at least the sum."""
    usage = dict(earlier)
    for name, value in later.items():
        before = usage.get(name)
        if isinstance(before, dict) and isinstance(value, dict):
            usage[name] = {**before, **{key: inner for key, inner in value.items() if inner or not before.get(key)}}
        elif value or not before:
            usage[name] = value
    if all(usage.get(name) == later.get(name) for name in _NEEDED):
        return usage
    total, counts = usage.get("total_tokens"), [usage[name] for name in _NEEDED if _is_count(usage.get(name))]
    if _is_count(total) and total < sum(counts):
        usage["total_tokens"] = sum(counts)
    return usage


def read_usage(usage: dict[str, Any], api: str) -> Usage:
    """What the upstream reported. A count that is missing, null or no number is 0; a missing total is the sum."""
    surface = surface_of(api)
    told = usage if surface.counts_of is None else surface.counts_of(usage)
    try:
        counts = msgspec.convert(told, UsageCounts)
    except (ValueError, OverflowError, RecursionError):
        counts = msgspec.convert(_only_counts(told), UsageCounts)
    of_input = counts.prompt_tokens_details or counts.input_tokens_details or counts.input_token_details or _NO_DETAILS
    of_output = (
        counts.completion_tokens_details or counts.output_tokens_details or counts.output_token_details or _NO_DETAILS
    )
    cached = of_input.cached_tokens_details or _NO_CACHED
    if surface.usage == "input_tokens":
        input_tokens = counts.input_tokens or counts.prompt_tokens or 0
        output_tokens = counts.output_tokens or counts.completion_tokens or 0
    else:
        input_tokens = counts.prompt_tokens or counts.input_tokens or 0
        output_tokens = counts.completion_tokens or counts.output_tokens or 0
    # By place, in the order of the fields: names would cost twice as much as all the rest.
    return Usage(
        "reported",
        None,
        input_tokens,
        of_input.cached_tokens or 0,
        of_input.cache_write_tokens or 0,
        cached.audio_tokens or 0,
        cached.image_tokens or 0,
        output_tokens,
        of_output.reasoning_tokens or 0,
        of_input.audio_tokens or 0,
        of_output.audio_tokens or 0,
        of_input.image_tokens or 0,
        of_output.image_tokens or 0,
        of_output.accepted_prediction_tokens or 0,
        of_output.rejected_prediction_tokens or 0,
        counts.total_tokens or input_tokens + output_tokens,
        usage,
        _NO_QUANTITIES if surface.quantities_of is None else surface.quantities_of(usage),
    )


def _only_counts(usage: dict[str, Any], depth: int = 2) -> dict[str, Any]:
    """The object less whatever in it is no count, and no object of counts. Details have details, and these none."""
    found: dict[str, Any] = {}
    for name, value in usage.items():
        if name in _DETAILS:
            if depth and isinstance(value, dict):
                found[name] = _only_counts(value, depth - 1)
        elif name in _NAMES and _is_count(value):
            found[name] = int(value)
    return found


def _is_amount(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < LARGEST_AMOUNT


def _is_count(value: Any) -> bool:
    return _is_amount(value) and value == int(value)
