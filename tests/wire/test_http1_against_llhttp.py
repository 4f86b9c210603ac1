"""Whatever head is admitted, llhttp (Node's parser) admits too and reads the same in it.

llhttp knows a list of methods, so only those are used here.
"""

import httptools
from hypothesis import event, given, settings, strategies as st

from support.http_bytes import METHODS, Sent, requests, spoiled
from tokenweir.errors import MalformedRequest
from tokenweir.wire import RequestHead, read_request_head


class Second:
    """llhttp's reading of a request."""

    def __init__(self) -> None:
        self.target = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.is_complete = False
        self.upgrades = False
        self._parser = httptools.HttpRequestParser(self)

    def feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.upgrades = True  # it stops there; we do not upgrade and drop the headers that ask for it

    @property
    def method(self) -> bytes:
        method: bytes = self._parser.get_method()
        return method

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value.strip(b" \t")))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.is_complete = True


_TROUBLE = [
    b"Content-Length: 3",
    b"Content-Length: 03",
    b"Content-Length: \t3\t ",
    b"content-length:3",
    b"Content-Length: 3,",
    b"Content-Length: 999999999999999",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding:\tchunked \t",
    b"transfer-encoding: CHUNKED",
    b"Transfer-Encoding: chunked,",
    b"Connection: upgrade",
    b"Connection: keep-alive",
    b"Upgrade: h2c",
    b"Host:",
    b"Host: \t",
    b"Expect: 100-continue",
    b"Proxy-Connection: close",
]


def check(raw: bytes) -> None:
    try:
        head = read_request_head(raw)
    except MalformedRequest:
        event("refused")
        return
    if head.method not in METHODS:
        return
    event("admitted")
    second = Second()
    second.feed(raw + b"\r\n\r\n")
    assert second.method == head.method
    assert second.target == head.target
    assert second.headers == [_split(line) for line in raw.split(b"\r\n")[1:]]
    assert set(map(_split, head.kept)) <= set(second.headers)
    for name, value in head.fields.items():
        values = [theirs for ours, theirs in second.headers if ours == name]
        together = values[0]
        for another in values[1:]:
            together = together if another == together else together + b", " + another
        assert value == together
    if not second.upgrades:
        check_framing(head, second)


def _split(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b":")
    return name.lower(), value.strip(b" \t")


def check_framing(head: RequestHead, second: Second) -> None:
    """Both must agree where the body ends: one byte earlier there is more to come, there it is over."""
    if head.content_length is None:
        second.feed(b"3\r\nabc\r\n0\r\n\r")
        assert second.body == b"abc" and not second.is_complete
        second.feed(b"\n")
    elif head.content_length > 1000:
        second.feed(b"x" * 1000)
        assert not second.is_complete
        return
    elif head.content_length:
        second.feed(b"x" * (head.content_length - 1))
        assert not second.is_complete
        second.feed(b"x")
    assert second.is_complete


@given(requests())
def test_valid_heads(sent: Sent) -> None:
    check(head_bytes_of(sent))


@settings(max_examples=300)
@given(requests(), st.data())
def test_spoiled_heads(sent: Sent, data: st.DataObject) -> None:
    check(data.draw(spoiled(head_bytes_of(sent))))


@settings(max_examples=300)
@given(st.lists(st.sampled_from(_TROUBLE), max_size=4), st.sampled_from([b"1.1", b"1.0"]), st.data())
def test_heads_made_of_lines_that_decide_where_a_body_ends(
    lines: list[bytes], version: bytes, data: st.DataObject
) -> None:
    raw = b"\r\n".join([b"POST /x HTTP/" + version, b"Host: h", *lines])
    check(raw if data.draw(st.booleans()) else data.draw(spoiled(raw)))


@given(st.binary(min_size=1, max_size=3))
def test_every_byte_in_every_place_of_a_small_head(put: bytes) -> None:
    for whole in (b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3", b"GET / HTTP/1.0\r\nTE: a"):
        for place in range(len(whole) + 1):
            raw = whole[:place] + put + whole[place:]
            check(raw)


def head_bytes_of(sent: Sent) -> bytes:
    return sent.raw.removeprefix(b"\r\n").partition(b"\r\n\r\n")[0]
