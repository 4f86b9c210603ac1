"""Any payloads, cut anywhere, with any byte flipped: what is whole is read, and nothing else ever is."""

import pytest
from hypothesis import given, strategies as st

from tokenweir.errors import JournalError
from tokenweir.journal.segment import (
    HEADER_AND_MARKER,
    HEADER_SIZE,
    VERSION,
    find_frame,
    frame,
    good_end,
    header,
    new_marker,
    parse_header,
    payload_of,
    scan,
)

markers = st.binary(min_size=4, max_size=4)
payloads = st.lists(st.binary(min_size=1, max_size=300), max_size=12)


def segment(marker: bytes, content: list[bytes]) -> bytes:
    return header(marker) + b"".join(frame(payload, marker) for payload in content)


def read(data: bytes) -> list[bytes]:
    """Everything that a reader would find in a segment, over whatever is damaged."""
    head = parse_header(data[:HEADER_AND_MARKER])
    found: list[bytes] = []
    at: int | None = HEADER_SIZE
    while head is not None and at is not None:
        good, end = scan(data[at:], head.marker, 1_000_000)
        found += good
        at = find_frame(data, at + end, head.marker)
    return found


@given(markers, payloads)
def test_what_is_written_is_read(marker: bytes, content: list[bytes]) -> None:
    assert read(segment(marker, content)) == content


@given(markers, payloads)
def test_a_frame_gives_its_payload_back(marker: bytes, content: list[bytes]) -> None:
    assert [payload_of(frame(payload, marker)) for payload in content] == content


@given(markers, payloads, st.data())
def test_cut_anywhere_all_whole_frames_before_are_read(
    marker: bytes, content: list[bytes], data: st.DataObject
) -> None:
    whole = segment(marker, content)
    cut = data.draw(st.integers(0, len(whole)))
    ends = [len(segment(marker, content[: n + 1])) for n in range(len(content))]

    assert read(whole[:cut]) == [payload for payload, end in zip(content, ends, strict=True) if end <= cut]


@given(markers, payloads.filter(bool), st.data())
def test_with_a_byte_flipped_all_other_frames_are_read(
    marker: bytes, content: list[bytes], data: st.DataObject
) -> None:
    whole = bytearray(segment(marker, content))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    ends = [len(segment(marker, content[: n + 1])) for n in range(len(content))]
    hit = next(n for n, end in enumerate(ends) if place < end) if place >= HEADER_SIZE else None

    assert read(bytes(whole)) == [payload for n, payload in enumerate(content) if n != hit]


@given(markers, payloads, st.binary(max_size=200))
def test_a_tail_of_anything_is_cut_and_nothing_else(marker: bytes, content: list[bytes], tail: bytes) -> None:
    whole = segment(marker, content)

    assert good_end(whole + tail) == len(whole)


@given(markers, payloads, payloads.filter(bool), st.binary(min_size=1, max_size=50))
def test_damage_in_the_middle_is_not_a_tail(
    marker: bytes, before: list[bytes], behind: list[bytes], damage: bytes
) -> None:
    whole = segment(marker, before) + damage + b"".join(frame(payload, marker) for payload in behind)

    assert good_end(whole) == len(whole)
    assert read(whole) == before + behind


def test_zeros_that_a_power_cut_left_are_no_frames() -> None:
    for marker in (b"abcd", b"\0\0\0\0"):
        assert read(segment(marker, [b"one"]) + bytes(1000)) == [b"one"]


def test_a_frame_inside_a_prompt_is_not_taken_for_one() -> None:
    ours, theirs = b"ours", b"them"
    forged = frame(b"a call that never was", theirs)
    data = bytearray(segment(ours, [b"prompt: " + forged, b"next"]))
    data[HEADER_SIZE + 5] ^= 1

    assert read(bytes(data)) == [b"next"]


def test_every_run_draws_its_own_marker() -> None:
    assert len({new_marker() for _ in range(100)}) > 90


def test_a_damaged_header_says_so_and_the_first_frame_still_tells_the_marker() -> None:
    data = bytearray(segment(b"mark", [b"one"]))
    data[3] ^= 1
    head = parse_header(bytes(data[:HEADER_AND_MARKER]))

    assert head is not None
    assert (head.is_damaged, head.marker) == (True, b"mark")


def test_a_newer_format_is_refused_with_advice() -> None:
    with pytest.raises(JournalError, match=f"format {VERSION + 1}.*upgrade books before relays"):
        parse_header(header(b"mark", version=VERSION + 1))
