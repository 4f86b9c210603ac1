"""Chunks are read strictly, and however they are cut."""

import pytest
from hypothesis import given, strategies as st

from support.http_bytes import cut
from tokenweir.wire import ChunkedReader, ChunkError, chunk

_places = st.lists(st.integers(0, 400), max_size=12)


def read(pieces: list[bytes]) -> tuple[bytes, bytes | None]:
    """The body, and what follows it (``None``: its end was not seen)."""
    reader = ChunkedReader()
    body, rest = b"", None
    for piece in pieces:
        if not reader.is_whole:
            body += reader.feed(piece)
            rest = reader.rest if reader.is_whole else None
        else:
            rest = (rest or b"") + piece
    return body, rest


def pieces_of(raw: bytes, places: list[int]) -> list[bytes]:
    return cut(raw, [place for place in places if place <= len(raw)])


@given(st.lists(st.binary(min_size=1, max_size=30), max_size=5), st.binary(max_size=10), _places)
def test_what_was_chunked_is_read_and_what_follows_is_handed_back(
    parts: list[bytes], after: bytes, places: list[int]
) -> None:
    raw = b"".join(map(chunk, parts)) + b"0\r\n\r\n" + after
    assert read(pieces_of(raw, places)) == (b"".join(parts), after)


@given(
    st.sampled_from([b"", b";", b"; a", b';a="b c"', b"\t ;x=1"]),
    st.sampled_from([b"", b"A: 1\r\n", b"A: 1\r\nX-Sum:\t2 \r\n"]),
    st.sampled_from([b"3", b"03", b"000000000000003"]),
    _places,
)
def test_extensions_trailers_and_leading_zeros_are_passed_over(
    extension: bytes, trailers: bytes, size: bytes, places: list[int]
) -> None:
    raw = size + extension + b"\r\nabc\r\n" + b"A\r\n0123456789\r\n0" + extension + b"\r\n" + trailers + b"\r\nnext"
    assert read(pieces_of(raw, places)) == (b"abc0123456789", b"next")


@given(st.integers(0, 300))
def test_data_is_passed_on_before_its_chunk_is_whole(seen: int) -> None:
    raw = chunk(b"x" * 300)
    reader = ChunkedReader()
    assert reader.feed(raw[: 5 + seen]) == b"x" * seen
    assert not reader.is_whole


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"\r\n", "hexadecimal"),
        (b"-1\r\nx\r\n", "hexadecimal"),
        (b"+1\r\nx\r\n", "hexadecimal"),
        (b"0x1\r\nx\r\n", "hexadecimal"),
        (b"1_0\r\n", "hexadecimal"),
        (b" 1\r\nx\r\n", "hexadecimal"),
        (b"1 \r\nx\r\n", "hexadecimal"),
        (b"g\r\n", "hexadecimal"),
        (b"1\nx\r\n0\r\n\r\n", "hexadecimal"),
        (b"1;\x00\r\nx\r\n", "hexadecimal"),
        (b"1;a\nb\r\nx\r\n", "hexadecimal"),
        (b"1" * 16 + b"\r\n", "hexadecimal"),
        (b"1\r\nxy\r\n", "longer than its size line says"),
        (b"1\r\nx\n\n", "longer than its size line says"),
        (b"2\r\nx\r\n0\r\n\r\n", "longer than its size line says"),
        (b"0\r\nno colon\r\n", "not a header line"),
        (b"0\r\n folded: 1\r\n", "not a header line"),
        (b"0\r\nA : 1\r\n", "not a header line"),
        (b"0\r\nA: \x00\r\n", "not a header line"),
    ],
)
def test_whatever_breaks_the_grammar_is_refused(raw: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read([raw])
    with pytest.raises(ValueError, match=words):
        read([bytes([byte]) for byte in raw])


@given(st.lists(st.binary(min_size=1, max_size=30), max_size=5))
def test_what_came_before_a_break_is_not_lost(parts: list[bytes]) -> None:
    with pytest.raises(ChunkError) as broken:
        ChunkedReader().feed(b"".join(map(chunk, parts)) + b"zz\r\n")
    assert broken.value.before == b"".join(parts)


@given(st.integers(250, 260), _places)
def test_a_size_line_may_have_256_bytes_however_it_is_cut(length: int, places: list[int]) -> None:
    raw = b"1;" + b"x" * (length - 2) + b"\r\nx\r\n0\r\n\r\n"
    if length <= 256:
        assert read(pieces_of(raw, places)) == (b"x", b"")
    else:
        with pytest.raises(ValueError, match="size line"):
            read(pieces_of(raw, places))


def test_a_size_line_that_does_not_end_is_refused() -> None:
    with pytest.raises(ValueError, match="size line is too long"):
        read([b"1;" + b"x" * 100] * 4)


@pytest.mark.parametrize("beyond", [0, 1])
def test_trailers_have_a_limit_however_they_are_cut(beyond: int) -> None:
    line = b"A: " + b"x" * (1024 - 5) + b"\r\n"
    last = b"A: " + b"x" * (1024 - 5 + beyond) + b"\r\n"
    raw = b"0\r\n" + line * 7 + last + b"\r\n"
    for pieces in ([raw], [bytes([byte]) for byte in raw]):
        if beyond:
            with pytest.raises(ValueError, match="trailers are too long"):
                read(pieces)
        else:
            assert read(pieces) == (b"", b"")


def test_trailers_that_do_not_end_are_refused() -> None:
    with pytest.raises(ValueError, match="trailers are too long"):
        read([b"0\r\nA: "] + [b"x" * 1000] * 9)


@given(st.lists(st.one_of(st.sampled_from([b"1\r\nx", b"\r\n", b"0\r\n", b"a:b\r\n", b";"]), st.binary(max_size=5))))
def test_any_bytes_are_read_or_refused(pieces: list[bytes]) -> None:
    raw = b"".join(pieces)
    try:
        whole: object = read([raw])
    except ValueError:
        whole = "refused"
    try:
        parted: object = read(pieces)
    except ValueError:
        parted = "refused"
    assert whole == parted
