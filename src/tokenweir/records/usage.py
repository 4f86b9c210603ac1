"""Quantities of one call, and where they come from.

The shape of an upstream's ``usage`` differs by API (``prompt_tokens`` or ``input_tokens``, details
or none); ``metering`` reads all of them into this one.
"""

from typing import Any, Literal

import msgspec

__all__ = ["NO_USAGE", "Usage", "UsageReason", "UsageSource"]

UsageSource = Literal["reported", "estimated", "none"]
"""``reported``: the upstream said so. ``estimated``: we counted. ``none``: nothing is known or due."""


UsageReason = Literal["unread_encoding", "unreadable", "cut", "too_large", "withheld"]
"""Why the usage of a call is not ``reported``.

unread_encoding  the answer was compressed in a way that is not read
unreadable       the answer was nothing that its API says
cut              the answer ended before its usage came
too_large        the part of the answer that has the usage was larger than what is read, or what logged it left it out
withheld         the answer was whole, and said no usage, nothing but zeros, or not that of all it wrote
"""


class Usage(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Token counts. Cached, cache-written, audio and image tokens are parts of input; reasoning, audio, image and
    predicted tokens are parts of output; cached audio is part of cached and of audio, and so are images.

    A new count is appended, as in `CallRecord`."""

    source: UsageSource = "none"
    reason: UsageReason | None = None
    """Why it is not ``reported``."""
    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    cached_audio_tokens: int = 0
    cached_image_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    input_audio_tokens: int = 0
    output_audio_tokens: int = 0
    input_image_tokens: int = 0
    output_image_tokens: int = 0
    accepted_prediction_tokens: int = 0
    rejected_prediction_tokens: int = 0
    total_tokens: int = 0
    raw: dict[str, Any] | None = None
    """The upstream's own object, kept whole, so that a later reader can find what we did not know."""


NO_USAGE = Usage()
