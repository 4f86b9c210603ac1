"""What a meter has to say when the answer has ended."""

from collections.abc import Callable

from ..records import UsageReason
from .structs import Reading
from .tally import Tally, Written
from .usage import read_usage, tells_counts

__all__ = ["NO_READING", "Output", "reading_of"]


class Output:
    """What the model wrote. Asking reads what the meter only glanced at: not for the event loop."""

    def __init__(self, written: dict[int, Written], read_rest: Callable[[], None] | None = None) -> None:
        """``read_rest`` adds to ``written`` what is still to be read."""
        self._written = written
        self._read_rest = read_rest

    def choices(self) -> list[Written]:
        """One for each choice, by index."""
        read_rest, self._read_rest = self._read_rest, None
        if read_rest is not None:
            read_rest()
        return [written for _, written in sorted(self._written.items())]


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
            if tally.finish_reasons and not usage.total_tokens:
                usage, reason = None, "withheld"  # no model answers without a token: somebody fills in zeros
        else:
            reason = "unreadable"
            unreadable = unreadable or "its usage has no counts that can be read"
    if reason == "unreadable":
        unreadable = unreadable or "it is no JSON object"
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
        output=Output(tally.written, read_rest),
    )


NO_READING = reading_of(Tally("other"), "other", content=None)
"""Of an answer that never came."""
