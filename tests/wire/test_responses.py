"""Answers' heads: what travels, what ends here, and how one is written."""

import pytest

from tokenweir.wire import ResponseHead, head_bytes, read_response_head, status_line


def read(*lines: bytes) -> ResponseHead:
    return read_response_head(b"\r\n".join(lines))


def test_lines_travel_as_they_came_but_for_those_of_one_hop() -> None:
    head = read(
        b"HTTP/1.1 200 OK",
        b"Content-Type: application/json",
        b"content-length: 12",
        b"Connection: keep-alive, X-Hop",
        b"x-hop: 1",
        b"Keep-Alive: timeout=5",
        b"Trailer: a",
        b"Upgrade: h2c",
        b"TE: a",
        b"Proxy-Authenticate: Basic",
        b"Proxy-Connection: close",
        b"Set-Cookie: a=1",
        b"Set-Cookie: a=2",
        b"X-MS-Region:  Sweden Central ",
    )
    assert head.lines == (
        b"\r\nContent-Type: application/json\r\nSet-Cookie: a=1\r\nSet-Cookie: a=2\r\nX-MS-Region:  Sweden Central "
    )
    assert head.fields[b"x-ms-region"] == b"Sweden Central"
    assert (head.status, head.line, head.content_length) == (200, b"200 OK", 12)


def test_values_beyond_ascii_pass() -> None:
    line = b"x-ms-region: Z\xfcrich"
    assert read(b"HTTP/1.1 200 OK", line).lines == b"\r\n" + line


def test_an_informational_line_that_comes_twice_does_not_spoil_the_answer() -> None:
    head = read(b"HTTP/1.1 200 OK", b"x-ms-region: Sweden Central", b"x-ms-region: East US")
    assert head.lines == b"\r\nx-ms-region: Sweden Central\r\nx-ms-region: East US"
    assert head.fields[b"x-ms-region"] == b"Sweden Central"


@pytest.mark.parametrize(
    ("first", "line"),
    [
        (b"HTTP/1.1 200 OK", b"200 OK"),
        (b"HTTP/1.0 200 OK", b"200 OK"),
        (b"HTTP/1.1 200 ", b"200 "),
        (b"HTTP/1.1 200", b"200 "),
        (b"HTTP/1.1 404 Nicht gefunden \xe4", b"404 Nicht gefunden \xe4"),
        (b"HTTP/1.1 599 Odd", b"599 Odd"),
    ],
)
def test_a_status_line_may_lack_its_reason(first: bytes, line: bytes) -> None:
    assert read(first).line == line


@pytest.mark.parametrize(
    "first",
    [b"HTTP/2 200", b"HTTP/1.1  200 OK", b"HTTP/1.1 20 OK", b"HTTP/1.1 2000 OK", b"HTTP/1.1 600 X", b"200 OK", b""],
)
def test_what_is_no_status_line_is_refused(first: bytes) -> None:
    with pytest.raises(ValueError, match="status line"):
        read(first)


@pytest.mark.parametrize("line", [b"a b: c", b" folded", b"a: \0", b"no colon"])
def test_what_is_no_header_line_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match="header"):
        read(b"HTTP/1.1 200 OK", line)


@pytest.mark.parametrize(
    ("lines", "has_body"),
    [
        ((b"HTTP/1.1 200 OK", b"content-length: 1"), True),
        ((b"HTTP/1.1 200 OK", b"content-length: 0"), False),
        ((b"HTTP/1.1 200 OK",), True),
        ((b"HTTP/1.1 204 No Content",), False),
        ((b"HTTP/1.1 304 Not Modified", b"content-length: 9"), False),
    ],
)
def test_whether_a_body_follows(lines: tuple[bytes, ...], has_body: bool) -> None:
    assert read(*lines).has_body is has_body


@pytest.mark.parametrize(
    ("value", "is_stream"),
    [
        (b"text/event-stream", True),
        (b"Text/Event-Stream; charset=utf-8", True),
        (b"application/json", False),
        (b"text/event", False),
    ],
)
def test_an_event_stream_is_known_by_its_type(value: bytes, is_stream: bool) -> None:
    assert read(b"HTTP/1.1 200 OK", b"content-type: " + value).is_event_stream is is_stream
    assert not read(b"HTTP/1.1 200 OK").is_event_stream


def test_a_head_is_written_and_read_again() -> None:
    raw = head_bytes(b"200 OK", b"\r\na: 1\r\nb: 2")
    assert raw == b"HTTP/1.1 200 OK\r\na: 1\r\nb: 2\r\n\r\n"
    assert read_response_head(raw.removesuffix(b"\r\n\r\n")).lines == b"\r\na: 1\r\nb: 2"


@pytest.mark.parametrize(
    ("status", "line"), [(404, b"404 Not Found"), (503, b"503 Service Unavailable"), (499, b"499 ")]
)
def test_a_status_has_the_phrase_of_the_standard_or_none(status: int, line: bytes) -> None:
    assert status_line(status) == line
    assert read(b"HTTP/1.1 " + line).status == status


@pytest.mark.parametrize(
    ("version", "connection", "keeps_alive"),
    [
        (b"1.1", b"", True),
        (b"1.1", b"keep-alive", True),
        (b"1.1", b"Close", False),
        (b"1.1", b"close, x-hop", False),
        (b"1.0", b"", False),
        (b"1.0", b"Keep-Alive", True),
    ],
)
def test_whether_the_connection_stays(version: bytes, connection: bytes, keeps_alive: bool) -> None:
    lines = [b"connection: " + connection] if connection else []
    assert read(b"HTTP/%b 200 OK" % version, *lines).keeps_alive is keeps_alive


def test_a_body_in_chunks() -> None:
    head = read(b"HTTP/1.1 200 OK", b"Transfer-Encoding: Chunked")
    assert (head.is_chunked, head.content_length, head.lines) == (True, None, b"")


@pytest.mark.parametrize(
    "lines",
    [
        [b"transfer-encoding: gzip, chunked"],
        [b"transfer-encoding: chunked, chunked"],
        [b"transfer-encoding: identity"],
        [b"transfer-encoding: chunked", b"content-length: 1"],
        [b"transfer-encoding: chunked", b"transfer-encoding: chunked"],
        [b"content-length: 1", b"content-length: 1"],
        [b"content-length: 1_0"],
        [b"content-length: +1"],
        [b"content-length: -1"],
        [b"content-length: "],
        [b"content-length: 1234567890123456"],
    ],
)
def test_a_body_whose_end_is_told_in_two_ways_or_none_is_refused(lines: list[bytes]) -> None:
    with pytest.raises(ValueError, match=r"Content-Length|Transfer-Encoding|comes twice"):
        read(b"HTTP/1.1 200 OK", *lines)
