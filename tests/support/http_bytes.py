"""HTTP as bytes, for properties: requests that are right by construction, and ways to cut and to spoil them."""

from collections.abc import Iterable
from dataclasses import dataclass
from string import ascii_letters, digits
from typing import NamedTuple

from hypothesis import strategies as st

from tokenweir.wire import END, Fields, RequestHead, RequestReader, chunk

__all__ = ["METHODS", "Sent", "cut", "heads", "lines", "read_all", "requests", "spoiled"]

# Those that llhttp knows and that mean nothing special to it.
METHODS = [b"GET", b"POST", b"PUT", b"PATCH", b"DELETE", b"HEAD", b"OPTIONS"]
_TOKEN = ascii_letters + digits + "!#$%&'*+-.^_`|~"
_VISIBLE = "".join(map(chr, range(0x21, 0x7F)))
# What a grammar may trip over: line ends, separators, controls, the first byte beyond ASCII.
_NASTY = [b"\r", b"\n", b"\r\n", b"\0", b"\t", b" ", b":", b"\x7f", b"\x80", b"\xff", b"\r\n ", b"\n\n", b"0", b","]

_USUAL = [
    b"Accept: */*",
    b"Authorization: Bearer tw-secret",
    b"Connection: keep-alive",
    b"Connection: close",
    b"Connection: close, X-Hop",
    b"Content-Type: application/json",
    b"Empty:",
    b"Expect: 100-continue",
    b"X-Hop: 1",
    b"api-key:\ttw-secret \t",
    b"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
]


@dataclass(frozen=True)
class Sent:
    """A request as a client means it, and the bytes that say so."""

    method: bytes
    target: bytes
    body: bytes
    raw: bytes


def lines() -> st.SearchStrategy[bytes]:
    """A header line that decides nothing about the body or the address."""
    name = st.text(_TOKEN, min_size=1, max_size=12).map(lambda text: b"x-" + text.encode())
    value = st.text(_VISIBLE + " \t", max_size=20).map(str.encode)
    own = st.tuples(name, st.sampled_from([b":", b": ", b":\t "]), value).map(b"".join)
    return st.one_of(st.sampled_from(_USUAL), own)


@st.composite
def heads(draw: st.DrawFn) -> tuple[bytes, bytes, list[bytes]]:
    """Method, target and request-and-header lines, without a length."""
    method = draw(st.sampled_from(METHODS))
    target = b"/" + draw(st.text(_VISIBLE, max_size=20)).encode()
    version = draw(st.sampled_from([b"1.1", b"1.1", b"1.0"]))
    fields = draw(st.lists(lines(), max_size=5, unique_by=lambda line: line.partition(b":")[0].lower()))
    if version == b"1.1" or draw(st.booleans()):
        fields.insert(draw(st.integers(0, len(fields))), b"Host: example.com")
    return method, target, [b"%b %b HTTP/%b" % (method, target, version), *fields]


@st.composite
def requests(draw: st.DrawFn) -> Sent:
    """A whole request: no body, one of known length, or chunks; at times after an empty line."""
    method, target, head = draw(heads())
    is_http_1_0 = head[0].endswith(b"1.0")
    body = draw(st.binary(max_size=40))
    kind = draw(st.sampled_from(["none", "length"] if is_http_1_0 else ["none", "length", "chunked"]))
    place = draw(st.integers(1, len(head)))
    sent = b""
    if kind == "none":
        body = b""
    elif kind == "length":
        head.insert(place, b"Content-Length: %d" % len(body))
        sent = body
    else:
        head.insert(place, b"Transfer-Encoding: Chunked")
        sent = b"".join(map(chunk, filter(None, cut(body, draw(cuts(body)))))) + b"0\r\n\r\n"
    before = draw(st.sampled_from([b"", b"\r\n"]))
    return Sent(method, target, body, before + b"\r\n".join(head) + b"\r\n\r\n" + sent)


def cuts(data: bytes) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, len(data)), max_size=8)


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """``data`` in pieces, cut at ``places``."""
    borders = [0, *sorted(places), len(data)]
    return [data[start:end] for start, end in zip(borders, borders[1:], strict=False)]


@st.composite
def spoiled(draw: st.DrawFn, whole: bytes) -> bytes:
    """``whole`` with a few bytes put in, taken out or put in the place of others."""
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(whole)))
        end = min(len(whole), start + draw(st.integers(0, 2)))
        put = draw(st.one_of(st.just(b""), st.sampled_from(_NASTY), st.binary(min_size=1, max_size=2)))
        whole = whole[:start] + put + whole[end:]
    return whole


class SeenHead(NamedTuple):
    """A request's head, to be compared."""

    method: bytes
    target: bytes
    fields: Fields
    kept: list[bytes]
    content_length: int | None
    keep_alive: bool
    http_1_0: bool
    expects_continue: bool


def seen(head: RequestHead) -> SeenHead:
    return SeenHead(*(getattr(head, name) for name in SeenHead._fields))


def read_all(
    reader: RequestReader, pieces: Iterable[bytes], *, at_once: bool = False
) -> list[tuple[SeenHead, bytes, bool]]:
    """Every request the reader finds: its head, its body joined, and whether its end was seen.

    With ``at_once`` each piece is first offered as a whole request, as a client's connection does.
    """
    found: list[tuple[SeenHead, bytes, bool]] = []
    for piece in pieces:
        if at_once and (whole := reader.whole(piece)) is not None:
            found.append((seen(whole[0]), whole[1], True))
            continue
        reader.feed(piece)
        while (event := reader.next()) is not None:
            if isinstance(event, RequestHead):
                found.append((seen(event), b"", False))
                continue
            head, body, _ = found.pop()
            found.append((head, body, True) if event is END else (head, body + bytes(event), False))  # type: ignore[arg-type]
    return found
