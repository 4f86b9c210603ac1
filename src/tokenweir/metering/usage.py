"""Reads an upstream's ``usage`` object, whose shape differs by API, into the one noun for quantities.

    chat_completions, completions   prompt_tokens, completion_tokens, and ``*_tokens_details`` since 2024
    embeddings                      prompt_tokens, total_tokens
    responses                       input_tokens, output_tokens, and ``*_tokens_details``

Old api-versions leave details out, others send them as null; both mean 0. Siblings that are not known
here (``latency_checkpoint``, partner models' own counts) are ignored and kept in ``raw``.
"""

from typing import Annotated, Any

import msgspec

from ..records import Usage

__all__ = ["read_usage", "tells_counts"]

# JSON numbers beyond this are not exact (RFC 8259, 6), and no call uses as many tokens.
_LARGEST = 2**53

_Count = Annotated[int, msgspec.Meta(ge=0, lt=_LARGEST)] | None


class _Details(msgspec.Struct, gc=False):
    cached_tokens: _Count = None
    reasoning_tokens: _Count = None
    audio_tokens: _Count = None
    accepted_prediction_tokens: _Count = None
    rejected_prediction_tokens: _Count = None


class _Counts(msgspec.Struct, gc=False):
    """The shape of ``completions``; that of ``responses`` has other names for the same."""

    input: _Count = msgspec.field(name="prompt_tokens", default=None)
    output: _Count = msgspec.field(name="completion_tokens", default=None)
    total: _Count = msgspec.field(name="total_tokens", default=None)
    of_input: _Details | None = msgspec.field(name="prompt_tokens_details", default=None)
    of_output: _Details | None = msgspec.field(name="completion_tokens_details", default=None)


class _ResponsesCounts(_Counts, gc=False):
    input: _Count = msgspec.field(name="input_tokens", default=None)
    output: _Count = msgspec.field(name="output_tokens", default=None)
    of_input: _Details | None = msgspec.field(name="input_tokens_details", default=None)
    of_output: _Details | None = msgspec.field(name="output_tokens_details", default=None)


_NONE = _Details()
_NEEDED = ("prompt_tokens", "completion_tokens", "input_tokens", "output_tokens")


def tells_counts(usage: dict[str, Any]) -> bool:
    """Whether it says how much was used: at least one count, and none of those that matter is something else."""
    tells = False
    for name in _NEEDED:
        value = usage.get(name)
        if value is not None:
            if not _is_count(value):
                return False
            tells = True
    return tells or _is_count(usage.get("total_tokens"))


def read_usage(usage: dict[str, Any], api: str) -> Usage:
    """What the upstream reported. A count that is missing, null or no number is 0; a missing total is the sum."""
    shape = _shape_of(usage, api)
    try:
        counts = msgspec.convert(usage, shape)
    except (ValueError, OverflowError, RecursionError):
        counts = msgspec.convert(_only_counts(usage), shape)
    of_input, of_output = counts.of_input or _NONE, counts.of_output or _NONE
    input_tokens, output_tokens = counts.input or 0, counts.output or 0
    return Usage(
        source="reported",
        input_tokens=input_tokens,
        cached_input_tokens=of_input.cached_tokens or 0,
        output_tokens=output_tokens,
        reasoning_tokens=of_output.reasoning_tokens or 0,
        input_audio_tokens=of_input.audio_tokens or 0,
        output_audio_tokens=of_output.audio_tokens or 0,
        accepted_prediction_tokens=of_output.accepted_prediction_tokens or 0,
        rejected_prediction_tokens=of_output.rejected_prediction_tokens or 0,
        total_tokens=counts.total or input_tokens + output_tokens,
        raw=usage,
    )


def _shape_of(usage: dict[str, Any], api: str) -> type[_Counts]:
    """Its names tell. Of an object with both, the API's own."""
    if "input_tokens" in usage or "output_tokens" in usage:
        if api == "responses" or not ("prompt_tokens" in usage or "completion_tokens" in usage):
            return _ResponsesCounts
    return _Counts


def _only_counts(usage: dict[str, Any], *, inside: bool = False) -> dict[str, Any]:
    """The object less whatever in it is no count, and no object of counts."""
    found: dict[str, Any] = {}
    for name, value in usage.items():
        if name.endswith("_details"):
            if isinstance(value, dict) and not inside:
                found[name] = _only_counts(value, inside=True)
        elif _is_count(value):
            found[name] = int(value)
    return found


def _is_count(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < _LARGEST and value == int(value)
