"""What two parties could read in two ways is refused, in words that never repeat what a header held."""

import pytest

from support.http_bytes import read_all
from tokenweir.errors import CallerRefusal, HeadTooLarge, MalformedRequest
from tokenweir.wire import RequestReader

SECRET = b"tw-S3CR3T"


def post(*lines: bytes) -> bytes:
    return b"\r\n".join([b"POST /v1/files HTTP/1.1", b"Host: x", b"api-key: " + SECRET, *lines, b"", b""])


def first(line: bytes) -> bytes:
    return line + b"\r\nHost: x\r\napi-key: " + SECRET + b"\r\n\r\n"


CHUNKED = b"Transfer-Encoding: chunked"

ATTACKS: dict[str, tuple[bytes, str]] = {
    # where the body ends
    "length and chunked": (post(b"Content-Length: 3", CHUNKED), "must not come together"),
    "chunked and length": (post(CHUNKED, b"Content-Length: 3"), "must not come together"),
    "two lengths": (post(b"Content-Length: 3", b"Content-Length: 4"), "content-length comes twice"),
    "the same length twice": (post(b"Content-Length: 3", b"Content-Length: 3"), "content-length comes twice"),
    "a length with a sign": (post(b"Content-Length: +3"), "Content-Length is not a number"),
    "a negative length": (post(b"Content-Length: -1"), "Content-Length is not a number"),
    "a hexadecimal length": (post(b"Content-Length: 0x3"), "Content-Length is not a number"),
    "a length with an underscore": (post(b"Content-Length: 1_0"), "Content-Length is not a number"),
    "a list of lengths": (post(b"Content-Length: 3, 3"), "Content-Length is not a number"),
    "a length with a blank inside": (post(b"Content-Length: 3 3"), "Content-Length is not a number"),
    "an empty length": (post(b"Content-Length:"), "Content-Length is not a number"),
    "a length beyond all measure": (post(b"Content-Length: " + b"9" * 30), "Content-Length is not a number"),
    "identity after chunked": (post(CHUNKED + b", identity"), "only Transfer-Encoding accepted is chunked"),
    "gzip before chunked": (post(b"Transfer-Encoding: gzip, chunked"), "only Transfer-Encoding"),
    "a coding like chunked": (post(b"Transfer-Encoding: xchunked"), "only Transfer-Encoding"),
    "a quoted chunked": (post(b'Transfer-Encoding: "chunked"'), "only Transfer-Encoding"),
    "an empty coding": (post(b"Transfer-Encoding:"), "only Transfer-Encoding"),
    "chunked twice in a line": (post(CHUNKED + b", chunked"), "only Transfer-Encoding"),
    "chunked on two lines": (post(CHUNKED, CHUNKED), "transfer-encoding comes twice"),
    "chunked on two lines, one in capitals": (post(CHUNKED, CHUNKED.upper()), "transfer-encoding comes twice"),
    "chunked hidden by a vertical tab": (post(b"Transfer-Encoding:\x0bchunked"), "control character"),
    "chunked in HTTP/1.0": (b"POST / HTTP/1.0\r\n" + CHUNKED + b"\r\n\r\n", "not part of HTTP/1.0"),
    # lines
    "a folded line": (post(b"X-A: 1", b" folded"), "obs-fold"),
    "a line folded with a tab": (post(b"X-A: 1", b"\tfolded"), "obs-fold"),
    "a bare line feed between lines": (post(b"X-A: 1\nTransfer-Encoding: chunked"), "bare line feed"),
    "bare line feeds only": (b"GET / HTTP/1.1\nHost: x\napi-key: " + SECRET + b"\n\n", "bare line feed"),
    "a line feed first": (b"\n" + first(b"GET / HTTP/1.1"), "bare line feed"),
    "a bare carriage return": (post(b"X-A: 1\rTransfer-Encoding: chunked"), "carriage return"),
    "a carriage return before CR LF": (post(b"X-A: 1\r"), "carriage return"),
    "a NUL in a value": (post(b"X-A: 1\0"), "the header X-A holds a NUL byte"),
    "a NUL in a name": (post(b"X\0A: 1"), "header name holds"),
    "a control character": (post(b"X-A: \x1b[31m"), "control character"),
    "a value beyond ASCII": (post("X-A: é".encode()), "not ASCII"),
    "a name beyond ASCII": (post("X-É: 1".encode()), "header name holds"),
    "a blank before the colon": (post(b"Content-Length : 3"), "header name holds a space"),
    "a tab before the colon": (post(b"Content-Length\t: 3"), "header name holds a space"),
    "an empty name": (post(b": 3"), "header name holds"),
    "a blank before the first name": (b"GET / HTTP/1.1\r\n Host: x\r\n\r\n", "obs-fold"),
    "a line without a colon": (post(b"X-A"), "no colon"),
    # whose key, which host
    "no Host": (b"GET / HTTP/1.1\r\n\r\n", "needs a Host header"),
    "two Hosts": (post(b"Host: y"), "host comes twice"),
    "the same Host twice": (post(b"Host: x"), "host comes twice"),
    "two keys": (post(b"api-key: other"), "api-key comes twice with different values"),
    # the first line
    "an absolute target": (first(b"GET http://x/v1 HTTP/1.1"), "must be a path"),
    "an authority as target": (first(b"CONNECT x:443 HTTP/1.1"), "must be a path"),
    "a tunnel to a path": (first(b"CONNECT / HTTP/1.1"), "must be a path"),
    "an asterisk": (first(b"OPTIONS * HTTP/1.1"), "must be a path"),
    "HTTP/2's preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "only HTTP/1.1 and HTTP/1.0"),
    "HTTP/1.2": (first(b"GET / HTTP/1.2"), "only HTTP/1.1 and HTTP/1.0"),
    "HTTP/0.9": (b"GET /\r\n\r\n", "METHOD SP PATH SP HTTP/1.1"),
    "lower-case http": (first(b"GET / http/1.1"), "only HTTP/1.1 and HTTP/1.0"),
    "tabs between the words": (first(b"GET\t/\tHTTP/1.1"), "METHOD SP PATH SP HTTP/1.1"),
    "a tab inside the target": (first(b"GET /\tx HTTP/1.1"), "percent-encode"),
    "two blanks": (first(b"GET  / HTTP/1.1"), "METHOD SP PATH SP HTTP/1.1"),
    "a blank after the version": (first(b"GET / HTTP/1.1 "), "METHOD SP PATH SP HTTP/1.1"),
    "a blank before the method": (first(b" GET / HTTP/1.1"), "METHOD SP PATH SP HTTP/1.1"),
    "a blank inside the target": (first(b"GET /a b HTTP/1.1"), "METHOD SP PATH SP HTTP/1.1"),
    "a target beyond ASCII": (first("GET /é HTTP/1.1".encode()), "percent-encode"),
    "a NUL in the target": (first(b"GET /\0 HTTP/1.1"), "percent-encode"),
    "a method that is no token": (first(b"GE(T / HTTP/1.1"), "not allowed"),
    "a method as long as a book": (first(b"G" * 33 + b" / HTTP/1.1"), "longer than 32 letters"),
    "a bare carriage return in the first line": (first(b"GET / HTTP/1.1\rX: y"), "bare line feed or carriage return"),
    "two empty lines first": (b"\r\n\r\n" + first(b"GET / HTTP/1.1"), "first line must be"),
    # the body
    "a chunk longer than it says": (post(CHUNKED) + b"2\r\nabc\r\n", "longer than its size line says"),
    "a chunk size with a sign": (post(CHUNKED) + b"+2\r\nab\r\n", "not a hexadecimal number"),
    "a chunk size with 0x": (post(CHUNKED) + b"0x2\r\nab\r\n", "not a hexadecimal number"),
    "a chunk size ended by a line feed": (post(CHUNKED) + b"2\nab\r\n", "not a hexadecimal number"),
    # another protocol
    "a TLS handshake": (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\x0a" + bytes(range(200)),
        "began a TLS handshake",
    ),
    "a TLS handshake with an end of a head in it": (b"\x16\x03\x03\r\n\r\n", "began a TLS handshake"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_refused_with_the_trouble_named_and_no_value_repeated(name: str) -> None:
    raw, words = ATTACKS[name]
    with pytest.raises(MalformedRequest) as refused:
        read_all(RequestReader(4096), [raw])
    assert words in str(refused.value)
    assert SECRET.decode() not in str(refused.value)
    assert refused.value.closes


@pytest.mark.parametrize("name", ATTACKS)
def test_refused_as_well_when_it_comes_byte_by_byte(name: str) -> None:
    with pytest.raises(MalformedRequest):
        read_all(RequestReader(4096), [bytes([byte]) for byte in ATTACKS[name][0]])


def test_a_secret_in_a_line_that_is_refused_is_not_repeated() -> None:
    for line in (b"api-key: %b\xff", b"api-key : %b", b"Authorization: Bearer %b\n x", b"api-key: a\0%b"):
        with pytest.raises(MalformedRequest) as refused:
            read_all(RequestReader(4096), [post(line % SECRET)])
        assert SECRET.decode() not in str(refused.value)


def test_a_name_is_repeated_in_part_only() -> None:
    with pytest.raises(MalformedRequest) as refused:
        read_all(RequestReader(4096), [post(b"x" * 2000 + b": \x01")])
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    "raw",
    [
        post(b"X-A: " + b"a" * 5000),
        post(*(b"X-%d: 1" % number for number in range(1000))),
        first(b"GET /" + b"a" * 5000 + b" HTTP/1.1"),
        b"GET / HTTP/1.1\r\n" + b"a" * 5000,
    ],
    ids=["a long line", "a flood of lines", "a long target", "a line that does not end"],
)
def test_a_head_beyond_the_limit_is_refused_as_too_large(raw: bytes) -> None:
    with pytest.raises(HeadTooLarge) as refused:
        read_all(RequestReader(4096), [raw])
    assert isinstance(refused.value, CallerRefusal) and refused.value.status == 431
    assert SECRET.decode() not in str(refused.value)
