"""Reads an upstream's ``usage`` object, whose shape differs by API, into the one noun for quantities.

    chat_completions, completions   prompt_tokens, completion_tokens, and ``*_tokens_details`` since 2024
    embeddings                      prompt_tokens, total_tokens
    responses                       input_tokens, output_tokens, and ``*_tokens_details``

Old api-versions leave details out, others send them as null; both mean 0. Siblings that are not known
here (``latency_checkpoint``, partner models' own counts) are ignored and kept in ``raw``.
"""

from typing import Any, NamedTuple

from ..records import Usage

__all__ = ["read_usage"]


class Shape(NamedTuple):
    """Where an API keeps its counts."""

    input: str
    output: str
    input_details: str
    output_details: str


_PROMPT = Shape("prompt_tokens", "completion_tokens", "prompt_tokens_details", "completion_tokens_details")
_INPUT = Shape("input_tokens", "output_tokens", "input_tokens_details", "output_tokens_details")

_SHAPES = {"chat_completions": _PROMPT, "completions": _PROMPT, "embeddings": _PROMPT, "responses": _INPUT}

# JSON numbers beyond this are not exact (RFC 8259, 6), and no call uses as many tokens.
_LARGEST = 2**53


def read_usage(usage: dict[str, Any], api: str) -> Usage:
    """What the upstream reported. A count that is missing, null or no number is 0; a missing total is the sum."""
    shape = _SHAPES.get(api) or (_INPUT if "input_tokens" in usage else _PROMPT)
    of_input = _details(usage, shape.input_details)
    of_output = _details(usage, shape.output_details)
    input_tokens = _count(usage, shape.input)
    output_tokens = _count(usage, shape.output)
    return Usage(
        source="reported",
        input_tokens=input_tokens,
        cached_input_tokens=_count(of_input, "cached_tokens"),
        output_tokens=output_tokens,
        reasoning_tokens=_count(of_output, "reasoning_tokens"),
        input_audio_tokens=_count(of_input, "audio_tokens"),
        output_audio_tokens=_count(of_output, "audio_tokens"),
        accepted_prediction_tokens=_count(of_output, "accepted_prediction_tokens"),
        rejected_prediction_tokens=_count(of_output, "rejected_prediction_tokens"),
        total_tokens=_count(usage, "total_tokens") or input_tokens + output_tokens,
        raw=usage,
    )


def _details(usage: dict[str, Any], key: str) -> dict[str, Any]:
    details = usage.get(key)
    return details if isinstance(details, dict) else {}


def _count(counts: dict[str, Any], key: str) -> int:
    value = counts.get(key)
    if not value:
        return 0
    return int(value) if isinstance(value, (int, float)) and 0 < value < _LARGEST else 0
