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

__all__ = ["read_usage"]

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


_SHAPES: dict[str, type[_Counts]] = {
    "chat_completions": _Counts,
    "completions": _Counts,
    "embeddings": _Counts,
    "responses": _ResponsesCounts,
}
_NONE = _Details()
_NEEDED = ("prompt_tokens", "completion_tokens", "input_tokens", "output_tokens")


def read_usage(usage: dict[str, Any], api: str) -> Usage | None:
    """What the upstream reported. A count that is missing or null is 0, and a missing total is the sum.

    None: it tells no count, or one of those that matter (input, output) is no count. Details may be anything.
    """
    shape = _SHAPES.get(api) or (_ResponsesCounts if "input_tokens" in usage else _Counts)
    try:
        counts = msgspec.convert(usage, shape)
    except (ValueError, OverflowError, RecursionError):
        only_counts = _only_counts(usage)
        if any(usage.get(name) is not None and name not in only_counts for name in _NEEDED):
            return None
        counts = msgspec.convert(only_counts, shape)
    if counts.input is None and counts.output is None and counts.total is None:
        return None
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


def _only_counts(usage: dict[str, Any], *, inside: bool = False) -> dict[str, Any]:
    """The object less whatever in it is no count, and no object of counts."""
    found: dict[str, Any] = {}
    for name, value in usage.items():
        if name.endswith("_details"):
            if isinstance(value, dict) and not inside:
                found[name] = _only_counts(value, inside=True)
        elif isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < _LARGEST:
            if value == int(value):
                found[name] = int(value)
    return found
