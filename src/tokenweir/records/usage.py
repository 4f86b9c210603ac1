"""Quantities of one call, and where they come from.

The shape of an upstream's ``usage`` differs by API (``prompt_tokens`` or ``input_tokens``, details
or none); ``metering`` reads all of them into this one.
"""

from typing import Any, Literal

import msgspec

__all__ = ["Usage", "UsageSource"]

UsageSource = Literal["reported", "estimated", "none"]
"""``reported``: the upstream said so. ``estimated``: we counted. ``none``: nothing is known or due."""


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Token counts. Cached is part of input; reasoning, audio and predictions are part of output."""

    source: UsageSource = "none"
    input_tokens: int = 0
    cached_input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    input_audio_tokens: int = 0
    output_audio_tokens: int = 0
    accepted_prediction_tokens: int = 0
    rejected_prediction_tokens: int = 0
    total_tokens: int = 0
    raw: dict[str, Any] | None = None
    """The upstream's own object, kept whole, so that a later reader can find what we did not know."""
