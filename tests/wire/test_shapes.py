"""A head is read the same by its shape and in full, whatever came before it."""

import pytest
from hypothesis import example, given, strategies as st

from support.http_bytes import spoiled
from tokenweir.wire import ResponseHead, ResponseHeadReader, read_response_head

USUAL = [
    b"HTTP/1.1 200 OK",
    b"Content-Type: application/json",
    b"Content-Length: 1360",
    b"apim-request-id: f93b3050-42ab-44dd-936f-7bc80fba2799",
    b"x-ms-region: Sweden Central",
    b"x-ratelimit-remaining-tokens: 599986",
    b"Date: Tue, 31 Mar 2026 13:12:27 GMT",
]

_VALUES = st.sampled_from(
    [
        b"",
        b" 0",
        b" 1",
        b" 12 ",
        b"\t3",
        b" close",
        b" keep-alive",
        b" chunked",
        b" text/event-stream",
        b" a b",
        b" \xe9",
    ]
)
_NAMES = st.sampled_from(
    [
        b"Connection",
        b"Content-Length",
        b"Content-Type",
        b"Date",
        b"Keep-Alive",
        b"Transfer-Encoding",
        b"X-MS-Region",
        b"apim-request-id",
        b"content-length",
        b"x-ratelimit-remaining-tokens",
    ]
)
_STATUS = st.sampled_from([b"HTTP/1.1 200 OK", b"HTTP/1.0 200 OK", b"HTTP/1.1 429 Too Many Requests", b"HTTP/1.1 204 "])


@st.composite
def families(draw: st.DrawFn) -> list[bytes]:
    """Heads with the same lines and other values, and some that are spoiled."""
    names = draw(st.lists(_NAMES, max_size=6))
    heads = []
    for _ in range(draw(st.integers(1, 6))):
        lines = [name + b":" + draw(_VALUES) for name in names]
        head = b"\r\n".join([draw(_STATUS), *lines])
        heads.append(draw(spoiled(head)) if draw(st.integers(0, 3)) == 0 else head)
    return heads


def told(head: ResponseHead) -> dict[str, object]:
    names = ["status", "line", "fields", "lines", "content_length", "is_chunked", "keeps_alive", "is_event_stream"]
    return {name: getattr(head, name) for name in names}


def both(reader: ResponseHeadReader, head: bytes) -> tuple[dict[str, object] | str, dict[str, object] | str]:
    results: list[dict[str, object] | str] = []
    for read in (reader.read, read_response_head):
        try:
            results.append(told(read(head)))
        except ValueError as error:
            results.append(str(error))
    return results[0], results[1]


@given(families())
@example([b"HTTP/1.1 200 OK\r\nConnection: keep-alive", b"HTTP/1.1 200 OK\r\nConnection: close"])
@example([b"HTTP/1.1 200 OK\r\nConnection: x-hop\r\nx-hop: 1", b"HTTP/1.1 200 OK\r\nConnection: close\r\nx-hop: 2"])
def test_a_head_is_the_same_by_its_shape_and_in_full(heads: list[bytes]) -> None:
    reader = ResponseHeadReader()
    for head in [*heads, *heads]:
        by_shape, in_full = both(reader, head)
        assert by_shape == in_full


def test_what_has_differed_once_need_not_be_read_in_full_again(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = ResponseHeadReader()
    for number in range(2):
        reader.read(b"\r\n".join([*USUAL[:5], b"x-ratelimit-remaining-tokens: %d" % number, *USUAL[6:]]))

    def in_full(head: bytes) -> ResponseHead:
        raise AssertionError(f"read in full: {head!r}")

    monkeypatch.setattr("tokenweir.wire.shapes.read_response_head", in_full)
    lines = [*USUAL[:2], b"Content-Length: 7", b"apim-request-id: other", USUAL[4]]
    head = reader.read(b"\r\n".join([*lines, b"x-ratelimit-remaining-tokens: 4711", b"Date: today"]))
    assert head.content_length == 7
    assert head.fields[b"apim-request-id"] == b"other"
    assert b"\r\nx-ratelimit-remaining-tokens: 4711\r\nDate: today" in head.lines
    assert b"Content-Length" not in head.lines


def test_an_upstream_whose_heads_never_settle_is_read_all_the_same() -> None:
    reader = ResponseHeadReader()
    for number in range(300):
        head = b"HTTP/1.1 200 OK\r\nx-%d: 1\r\nx-ms-region: %d" % (number, number)
        assert told(reader.read(head)) == told(read_response_head(head))
    assert len(reader._shapes) <= 8
