"""Which meter an answer gets."""

from collections.abc import Callable

from ..apis import surface_of
from ..errors import quoted
from .body import BodyMeter
from .body_or_stream import BodyOrStream
from .inflate import InflatingMeter
from .meter import Meter
from .null import NullMeter
from .stream import StreamMeter

__all__ = ["meter_for"]

# Names of RFC 9110, section 8.4.1, that mean one of the two formats we unpack, or none.
_ENCODINGS = {"": "", "identity": "", "gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate"}


def meter_for(
    api: str,
    *,
    event_stream: bool,
    content_encoding: str,
    keep_content: bool,
    may_be_stream: bool = False,
    reads_usage: bool = False,
    monotonic: Callable[[], float],
) -> Meter:
    """The meter for one answer of ``api``.

    ``event_stream`` and ``content_encoding`` are what the answer's head says; ``monotonic`` is asked once,
    when the first model output passes. An answer in an encoding we cannot unpack gets a meter that says so.
    ``may_be_stream``: a stream was asked for, so its first bytes tell what it is. ``reads_usage``: of an API that is
    not metered, a usage is read if there is one; not of answers that repeat the usage of an earlier call.
    """
    encoding = _ENCODINGS.get(content_encoding.strip().lower())
    if encoding is None:
        return NullMeter(
            keep_content=False,
            unreadable=f"content-encoding {quoted(content_encoding[:40])} is not read",
            reason="unread_encoding",
        )

    meter: Meter
    is_metered = surface_of(api).is_metered
    if not is_metered and not event_stream:
        meter = NullMeter(keep_content=keep_content, reads_usage=reads_usage)
    elif event_stream and (is_metered or reads_usage):
        meter = StreamMeter(api, keep_content=keep_content, monotonic=monotonic)
    elif event_stream:
        meter = NullMeter(keep_content=keep_content)
    elif may_be_stream:
        meter = BodyOrStream(api, keep_content=keep_content, monotonic=monotonic)
    else:
        meter = BodyMeter(api, keep_content=keep_content)
    return InflatingMeter(meter, encoding) if encoding else meter
