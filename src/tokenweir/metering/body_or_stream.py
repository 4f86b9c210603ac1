"""A meter for an answer whose head does not call it a stream, though one was asked for: its first bytes tell."""

from collections.abc import Callable

from ..wire import looks_like_events
from .body import BodyMeter
from .meter import Meter
from .stream import StreamMeter
from .structs import Reading

__all__ = ["BodyOrStream"]

# A byte order mark and the longest name of a field.
_TELLING = 16


class BodyOrStream:
    """Shows the answer to a meter for streams if it begins as one, and to a meter for bodies otherwise."""

    def __init__(self, api: str, *, keep_content: bool, monotonic: Callable[[], float]) -> None:
        self._api = api
        self._keep_content = keep_content
        self._monotonic = monotonic
        self._beginning = b""
        self._meter: Meter | None = None

    @property
    def first_token_at(self) -> float | None:
        return self._meter.first_token_at if self._meter is not None else None

    def feed(self, piece: bytes) -> None:
        if self._meter is not None:
            self._meter.feed(piece)
            return
        self._beginning += piece
        if len(self._beginning) >= _TELLING:
            self._choose().feed(self._beginning)

    def finish(self) -> Reading:
        if self._meter is not None:
            return self._meter.finish()
        meter = self._choose()
        meter.feed(self._beginning)
        return meter.finish()

    def _choose(self) -> Meter:
        if looks_like_events(self._beginning):
            self._meter = StreamMeter(self._api, keep_content=self._keep_content, monotonic=self._monotonic)
        else:
            self._meter = BodyMeter(self._api, keep_content=self._keep_content)
        return self._meter
