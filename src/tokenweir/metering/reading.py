"""What a meter has to say when the answer has ended."""

from collections.abc import Callable
from typing import Any

import msgspec

from ..records import Usage, UsageReason
from .tally import Tally, Written
from .usage import read_usage, tells_counts

__all__ = ["NO_READING", "Output", "Reading", "reading_of"]


class Output:
    """What the model wrote. Asking reads what the meter only glanced at: not for the event loop."""

    def __init__(self, tally: Tally, read_rest: Callable[[], None] | None) -> None:
        self._tally = tally
        self._read_rest = read_rest

    def choices(self) -> list[Written]:
        """One for each choice, by index."""
        read_rest, self._read_rest = self._read_rest, None
        if read_rest is not None:
            read_rest()
        return [written for _, written in sorted(self._tally.written.items())]


class Reading(msgspec.Struct, kw_only=True):
    """The facts of one answer. None and empty mean that the answer did not say."""

    usage: Usage | None = None
    response_model: str | None = None
    response_id: str | None = None
    job_id: str | None = None
    """Of the job that the call has made, whose usage comes later."""
    session_id: str | None = None
    """Of the session that the call has opened."""
    service_tier: str | None = None
    """That the answer was served by."""
    tool_usage: dict[str, Any] | None = None
    """The answer's own ``tool_usage``."""
    tool_calls: dict[str, int] = {}
    """How many calls of the upstream's own tools it has, by type."""
    finish_reasons: list[str] = []
    """In the order they came: one a choice, and a second where a filter blocked what had already ended."""
    content_filter: str | None = None
    """Categories that were filtered, joined by commas: of the prompt, the answer or both."""
    error_code: str | None = None
    """Of an error body, or of an error frame in a stream that began well."""
    chunks: int = 0
    """Events with data, ``[DONE]`` aside; 1 for a whole body."""
    done: bool = False
    """Whether the end was seen: ``[DONE]``, or a whole JSON object."""
    content: str | None = None
    """The body as text, where it is kept."""
    unreadable: str | None = None
    """Why the meter could not read the answer or part of it."""
    reason: UsageReason | None = None
    """Why there is no usage, where the meter knows."""
    wrote_since_usage: bool = False
    """Whether the model wrote more after the last usage that was told, which is then not that of the whole answer."""
    output: Output


def reading_of(
    tally: Tally,
    api: str,
    *,
    content: bytes | None,
    read_rest: Callable[[], None] | None = None,
    unreadable: str | None = None,
    reason: UsageReason | None = None,
) -> Reading:
    """The reading that a tally amounts to; ``read_rest`` adds the text that is still to be read."""
    usage = None
    if tally.usage:
        if tells_counts(tally.usage):
            usage = read_usage(tally.usage, api)
        else:
            reason = "unreadable"
            unreadable = unreadable or "its usage has no counts that can be read"
    return Reading(
        usage=usage,
        response_model=tally.model,
        response_id=tally.id,
        service_tier=tally.service_tier,
        tool_usage=tally.tool_usage,
        tool_calls=tally.tool_calls,
        finish_reasons=list(tally.finish_reasons),
        content_filter=",".join(tally.filtered) or None,
        error_code=tally.error_code,
        chunks=tally.chunks,
        done=tally.done,
        content=None if content is None else content.decode(errors="replace"),
        unreadable=unreadable,
        reason="too_large" if tally.usage_is_too_large else reason,
        wrote_since_usage=tally.wrote_since_usage,
        output=Output(tally, read_rest),
    )


NO_READING = reading_of(Tally("other"), "other", content=None)
"""Of an answer that never came."""
