"""What a meter has to say when the answer has ended."""

import msgspec

from ..records import Usage
from .tally import Tally, Written
from .usage import read_usage

__all__ = ["Output", "Reading", "reading_of"]


class Output:
    """What the model wrote. Asking decodes the frames the meter only glanced at: not for the event loop."""

    def __init__(self, tally: Tally, unread: bytes = b"") -> None:
        self._tally = tally
        self._unread = unread

    def choices(self) -> list[Written]:
        """One for each choice, by index."""
        unread, self._unread = self._unread, b""
        if unread:
            self._tally.read_events(unread)
        return [written for _, written in sorted(self._tally.written.items())]


class Reading(msgspec.Struct, kw_only=True):
    """The facts of one answer. None and empty mean that the answer did not say."""

    usage: Usage | None = None
    response_model: str | None = None
    response_id: str | None = None
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
    output: Output


def reading_of(
    tally: Tally, api: str, *, content: bytes | None, unread: bytes = b"", unreadable: str | None = None
) -> Reading:
    """The reading that a tally amounts to; ``unread`` are events whose text is still to be read."""
    return Reading(
        usage=read_usage(tally.usage, api) if tally.usage else None,
        response_model=tally.model,
        response_id=tally.id,
        finish_reasons=list(tally.finish_reasons),
        content_filter=",".join(tally.filtered) or None,
        error_code=tally.error_code,
        chunks=tally.chunks,
        done=tally.done,
        content=None if content is None else content.decode(errors="replace"),
        unreadable=unreadable,
        output=Output(tally, unread),
    )
