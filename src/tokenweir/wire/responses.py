"""Response heads: read from an upstream, and written to a client."""

import re
from http import HTTPStatus

from .fields import FieldLine, LineReader, without_options
from .heads import ResponseHead

__all__ = ["head_bytes", "judge_response_line", "read_response_head", "status_line"]

_HOP_BY_HOP = [
    b"connection",
    b"content-length",
    b"keep-alive",
    b"proxy-authenticate",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
]

# Of another gateway behind this one, or API Management's; this gateway's own stand in their place.
_REPLACED = [b"x-ms-stream", b"x-tokenweir-call-id"]

_LINES = LineReader(
    read=frozenset(
        [
            *_HOP_BY_HOP,
            b"apim-request-id",
            b"content-encoding",
            b"content-type",
            b"location",
            b"request-id",
            b"retry-after",
            b"x-ms-deployment-name",
            b"x-ms-is-spilled-over",
            b"x-ms-region",
            b"x-ms-served-model",
            b"x-ms-spillover-from-deployment",
            b"x-request-id",
        ]
    ),
    stays=frozenset([*_HOP_BY_HOP, *_REPLACED]).__contains__,
    forget=frozenset(
        [
            b"apim-request-id",
            b"content-length",
            b"date",
            b"location",
            b"request-id",
            b"retry-after",
            b"set-cookie",
            b"x-request-id",
        ]
    ).__contains__,
    strict=False,
)

_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: [\t -~\x80-\xff]*)?")
_LENGTH = re.compile(rb"[0-9]{1,15}")


def read_response_head(head: bytes) -> ResponseHead:
    """Reads a head without its final empty line. Raises ``ValueError`` with words for a person."""
    lines = head.split(b"\r\n")
    match = _STATUS_LINE.fullmatch(lines[0])
    if match is None:
        raise ValueError("the status line is not HTTP/1.1's")
    fields, kept = _LINES.read_lines(lines[1:])
    of_this_hop = {name: fields.pop(name) for name in _HOP_BY_HOP if name in fields}
    connection = of_this_hop.get(b"connection", b"").lower()
    if connection:
        kept = without_options(kept, connection)
    length, coding = of_this_hop.get(b"content-length"), of_this_hop.get(b"transfer-encoding")
    if coding is not None and (length is not None or coding.lower() != b"chunked"):
        raise ValueError("what its Transfer-Encoding says of the body's end is not understood")
    if length is not None and _LENGTH.fullmatch(length) is None:
        raise ValueError("its Content-Length is not a number")
    return ResponseHead(
        int(match[2]),
        lines[0][9:] if len(lines[0]) > 12 else lines[0][9:] + b" ",
        fields,
        b"".join([b"\r\n" + line for line in kept]),
        int(length) if length is not None else None,
        coding is not None,
        b"close" not in connection and (match[1] == b"1" or b"keep-alive" in connection),
        fields.get(b"content-type", b"")[:17].lower() == b"text/event-stream",
    )


def judge_response_line(line: bytes) -> FieldLine:
    """What ``read_response_head`` makes of one line by itself."""
    return _LINES.judge(line)


_STATUS_LINES = {status.value: f"{status.value} {status.phrase}".encode() for status in HTTPStatus}


def status_line(status: int) -> bytes:
    """``404 Not Found``, or the bare number where the standard has no phrase."""
    return _STATUS_LINES.get(status) or b"%d " % status


def head_bytes(line: bytes, lines: bytes) -> bytes:
    """A head ready to be written: ``HTTP/1.1 200 OK``, the lines (each behind its CR LF), the empty line."""
    return b"HTTP/1.1 %b%b\r\n\r\n" % (line, lines)
