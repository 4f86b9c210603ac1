"""Whether what came is server-sent events that clients of these APIs can read. Only raw HTTP shows it."""

from collections.abc import Iterator

from ..capture import Capture
from ..frames import BOM
from ..measures import Measures
from .buffering import came_at_once
from .finding import Finding

__all__ = ["format"]

_COMPRESSION_MEND = "do not compress text/event-stream; exempt that type where compression is configured"


def format(capture: Capture, measures: Measures) -> Iterator[Finding]:
    """Of an answer that is no refusal."""
    head = capture.head
    if capture.began.via != "http" or head is None or head.status >= 300:
        return
    kind = (head.header("content-type") or "").lower()
    if kind.startswith("text/event-stream"):
        yield from _of_stream(capture)
    else:
        yield from _of_other(capture, kind)
    yield from _of_events(capture)


def _of_stream(capture: Capture) -> Iterator[Finding]:
    head = capture.head
    assert head is not None
    times = [event.at for event in capture.events if event.frame.is_output]
    if (length := head.header("content-length")) is not None and not came_at_once(times):
        yield Finding(
            "content_length",
            "odd",
            f"the stream has a content-length ({length})",
            "whoever sent the head knew the whole answer already, so it was not streaming",
            "look for what gathers answers on the way: a proxy that buffers, a policy that reads the body",
        )
    encoding = head.header("content-encoding")
    if encoding not in (None, "identity"):
        yield Finding(
            "compressed",
            "odd",
            f"the stream came as {encoding}, though `accept-encoding: identity` was sent",
            "compression holds events back until a block is full, unless it is flushed after each of them",
            _COMPRESSION_MEND,
        )


def _of_other(capture: Capture, kind: str) -> Iterator[Finding]:
    shown = kind.partition(";")[0] or "none"
    body = capture.body.lstrip().removeprefix(BOM)
    if not capture.events and (body[:1] == b"<" or kind.startswith("text/html")):
        yield Finding(
            "html",
            "bad",
            "the answer is a page of HTML",
            "this is a web page, such as a sign-in or an error page of a proxy, and no API",
            "check the endpoint, and whether a proxy on the way wants a sign-in",
        )
    elif capture.events:
        yield Finding(
            "content_type",
            "odd",
            f"the events came with content-type {shown}",
            "browsers and some clients read a stream only as text/event-stream",
            "look for what replaces the header on the way",
        )
    else:
        yield Finding(
            "not_a_stream",
            "bad",
            f"the answer came as one body of {len(body):,} bytes (content-type {shown})",
            "a stream was asked for: something on the way took `stream` out of the request, or put the answer together",
            "compare with a call past the gateway: --compare",
        )


def _of_events(capture: Capture) -> Iterator[Finding]:
    broken = [event for event in capture.events if event.frame.kind == "broken" and not event.is_cut]
    if broken:
        first = broken[0]
        yield Finding(
            "broken_events",
            "bad",
            f"{len(broken)} of {len(capture.events)} events cannot be read, the first after "
            f"{first.at * 1000:.0f} ms: {first.frame.text}",
            "the official SDKs raise at such an event; something on the way changes the text of the stream",
            "look for what rewrites, logs or translates bodies on the way",
        )
    if capture.body.startswith(BOM):
        yield Finding(
            "bom",
            "odd",
            "the stream begins with a byte order mark",
            "the standard allows it and many clients lose the first event to it",
            "look for what re-encodes the text on the way",
        )
    if any(b"\r\n" in event.raw for event in capture.events):
        yield Finding(
            "crlf",
            "note",
            "lines end with CR LF",
            "the standard allows it, and Azure and OpenAI send LF: something on the way rewrites the stream, "
            "or this is another server",
        )
