"""Whether a stream was held up on its way and let go at once, or in batches.

Only the time between arrivals is seen, not who waited. What is claimed is that together came what no model writes
together; an answer kept in a cache looks the same, and Azure's content filter gathers text too.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import msgspec

from ..capture import EVENT_END, Capture
from ..measures import TOGETHER_SECONDS, Measures, bursts, percentile
from ..moments import READ_SIZE
from .finding import Finding, milliseconds

__all__ = ["buffering", "came_at_once", "came_in_batches"]

# Fewer pieces of output may well be written in one go.
_FEWEST = 8

# At once: 1,000 pieces a second and more (the fastest models write some hundred), after twenty times as long.
_MOST_A_SECOND = 1000
_WAIT_SECONDS = 0.1
_WAIT_FACTOR = 20

# In batches: of four pieces and more on average, with pauses that are long beside the batches themselves.
_BATCH = 4
_PAUSE_SECONDS = 0.05

# Sizes of buffers on the way. The size of our own reads is none, and over TLS neither is that of a record, at which
# reads end where a lot comes at once.
_BUFFER_SIZES = frozenset(1024 << power for power in range(8)) - {READ_SIZE}
_TLS_RECORD = 16 * 1024

_MEND = (
    "turn buffering off at each step: nginx `proxy_buffering off`, API Management "
    '`<forward-request buffer-response="false" />` and no body logging, compression off; '
    "then compare with `--compare` to find the step"
)


def buffering(capture: Capture, measures: Measures) -> Iterator[Finding]:
    """One finding at most."""
    times = [event.at for event in capture.events if event.frame.is_output]
    if came_at_once(times):
        yield _at_once(capture, times)
        return
    exact = _exact_reads(capture)
    if came_in_batches(times):
        yield _in_batches(times, exact)
    elif exact:
        yield Finding("buffer_size", "bad", exact.seen, exact.means, _MEND)


def came_at_once(times: list[float]) -> bool:
    """Whether output came faster than any model writes, after a wait that was much longer."""
    if len(times) < _FEWEST:
        return False
    spread = times[-1] - times[0]
    return times[0] >= max(_WAIT_SECONDS, _WAIT_FACTOR * spread) and spread * _MOST_A_SECOND <= len(times)


def came_in_batches(times: list[float]) -> bool:
    """Whether output came several pieces at a time with pauses between, again and again."""
    found = bursts(times, TOGETHER_SECONDS)
    if len(found) < 3 or len(times) < _BATCH * len(found):
        return False
    pauses = sorted(later.began - earlier.ended for earlier, later in pairwise(found))
    return percentile(pauses, 0.5) >= _PAUSE_SECONDS


def _at_once(capture: Capture, times: list[float]) -> Finding:
    spread = times[-1] - times[0]
    head_at = capture.head.at if capture.head else 0.0
    within = f"within {milliseconds(spread)}" if spread > 0 else "in one read"
    seen = f"all {len(times)} pieces of output came {within}, after {milliseconds(times[0])} in which none came"
    if times[0] - head_at > times[0] / 2:
        seen += f"; the head was there after {milliseconds(head_at)}"
    if capture.head is not None and capture.head.header("content-length") is not None:
        means = "something on the way had the whole answer before it passed any of it on: it knew the content-length"
    else:
        means = (
            "no model writes that fast: something on the way gathered the answer and let it go at its end "
            "(or the answer came from a cache)"
        )
    return Finding("buffered", "bad", seen, means, _MEND)


def _in_batches(times: list[float], exact: "_ExactReads | None") -> Finding:
    found = bursts(times, TOGETHER_SECONDS)
    pauses = sorted(later.began - earlier.ended for earlier, later in pairwise(found))
    seen = (
        f"{len(times)} pieces of output came in {len(found)} batches of about {len(times) / len(found):.0f}, "
        f"{milliseconds(percentile(pauses, 0.5))} apart"
    )
    if exact:
        return Finding("batches", "bad", f"{seen}; {exact.seen}", exact.means, _MEND)
    means = (
        "something gathers output before it passes it on: a buffer or compression on the way, or a content filter "
        "that looks at text in groups, as Azure's does unless it is asynchronous"
    )
    return Finding("batches", "odd", seen, means, _MEND)


class _ExactReads(msgspec.Struct, frozen=True):
    """The same round number of bytes several times, cut inside events: a buffer of that size was flushed when full."""

    seen: str
    means: str


def _exact_reads(capture: Capture) -> _ExactReads | None:
    """Counts only reads that gathering explains: a whole event was there and waited for the rest of the read. What a
    large event, or one write of many, is cut into on its way says nothing."""
    connected = capture.connected
    sizes = _BUFFER_SIZES - ({_TLS_RECORD} if connected is not None and connected.tls is not None else set())
    before = capture.head.at if capture.head is not None else 0.0
    gathered: Counter[int] = Counter()
    for piece in capture.pieces[:-1]:
        waited, before = piece.at - before, piece.at
        if piece.size in sizes and waited > TOGETHER_SECONDS and EVENT_END.search(piece.data, 0, len(piece.data) - 1):
            gathered[piece.size] += not piece.data.endswith((b"\n\n", b"\r\n"))
    size, count = max(gathered.items(), key=lambda item: item[1], default=(0, 0))
    if count < 2:
        return None
    return _ExactReads(
        f"{count} reads gave exactly {size:,} bytes and ended inside an event",
        f"something on the way passes the stream on whenever {size:,} bytes have gathered",
    )
