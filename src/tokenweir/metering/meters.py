"""Which meter an answer gets."""

from collections.abc import Callable

from ..apis import Surface
from ..errors import quoted
from ..wire import looks_like_events
from .body import BodyMeter
from .inflate import InflatingMeter
from .measurement import Measurement
from .meter import Meter, NullMeter
from .stream import StreamMeter

__all__ = ["meter_for"]

# Names of RFC 9110, section 8.4.1, that mean one of the two formats we unpack, or none.
_ENCODINGS = {"": "", "identity": "", "gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate"}

# A byte order mark and the longest name of a field.
_TELLING = 16


def meter_for(
    surface: Surface,
    *,
    event_stream: bool,
    content_encoding: str,
    keep_content: bool,
    may_be_stream: bool = False,
    reads_usage: bool = False,
    monotonic: Callable[[], float],
) -> Meter:
    """The meter for one answer of ``surface``.

    ``event_stream`` and ``content_encoding`` are what the answer's head says; ``monotonic`` is asked once,
    when the first model output passes. An answer in an encoding we cannot unpack gets a meter that says so.
    ``may_be_stream``: a stream was asked for, so its first bytes tell what it is. ``reads_usage``: of an API that is
    not metered, a usage is read if there is one; not of answers that repeat the usage of an earlier call.
    """
    encoding = _ENCODINGS.get(content_encoding.strip().lower()) if content_encoding else ""
    if encoding is None:
        return NullMeter(
            keep_content=False,
            unreadable=f"content-encoding {quoted(content_encoding[:40])} is not read",
            reason="unread_encoding",
        )

    meter: Meter
    is_metered = surface.is_metered
    if not is_metered and not event_stream:
        meter = NullMeter(keep_content=keep_content, reads_usage=reads_usage)
    elif event_stream and (is_metered or reads_usage):
        meter = StreamMeter(surface, keep_content=keep_content, monotonic=monotonic)
    elif event_stream:
        meter = NullMeter(keep_content=keep_content)
    elif may_be_stream:
        meter = _BodyOrStream(surface, keep_content=keep_content, monotonic=monotonic)
    else:
        meter = BodyMeter(surface, keep_content=keep_content)
    return InflatingMeter(meter, encoding) if encoding else meter


class _BodyOrStream(Meter):
    """Of an answer whose head does not call it a stream, though one was asked for: its first bytes tell. Shows it to a
    meter for streams if it begins as one, and to a meter for bodies otherwise."""

    def __init__(self, surface: Surface, *, keep_content: bool, monotonic: Callable[[], float]) -> None:
        self._surface = surface
        self._keep_content = keep_content
        self._monotonic = monotonic
        self._beginning = b""
        self._meter: Meter | None = None

    def feed(self, piece: bytes) -> None:
        meter = self._meter
        if meter is None:
            self._beginning += piece
            if len(self._beginning) < _TELLING:
                return
            meter, piece = self._choose(), self._beginning
        meter.feed(piece)
        self.first_token_at = meter.first_token_at

    def finish(self) -> Measurement:
        if self._meter is not None:
            return self._meter.finish()
        meter = self._choose()
        meter.feed(self._beginning)
        return meter.finish()

    def _choose(self) -> Meter:
        if looks_like_events(self._beginning):
            self._meter = StreamMeter(self._surface, keep_content=self._keep_content, monotonic=self._monotonic)
        else:
            self._meter = BodyMeter(self._surface, keep_content=self._keep_content)
        return self._meter
