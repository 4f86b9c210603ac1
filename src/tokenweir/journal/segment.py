"""The format of a segment file: a header, then frames, each with its own checksum. Pure: bytes in, bytes out.

    header  magic 8s | version u32 | marker 4s | crc32c u32 of the 16 bytes before      little-endian
    frame   marker 4s | length u32 | crc32c u32 of the payload, seeded with length | payload

The marker is drawn at random for each run of a writer. It lets a reader find the next frame behind a damaged
stretch, and a prompt kept inside a payload cannot pose as a frame, since nobody outside knows the marker.
"""

import os
from collections.abc import Callable, Iterator
from struct import Struct
from typing import NamedTuple

import google_crc32c

from ..errors import JournalError

__all__ = [
    "HEADER_SIZE",
    "Header",
    "claimed_size",
    "find_frame",
    "good_end",
    "header",
    "new_marker",
    "parse_header",
    "payloads_in",
    "scan",
]

VERSION = 2
"""Of the format. In 1, a payload was an object; in 2, it is an array. The layout of segments is the same."""

_MAGIC = b"tokenwj\n"
_HEADER = Struct("<8sI4sI")
_FRAME = Struct("<4sII")
_MARKER_SIZE = 4

HEADER_SIZE = _HEADER.size
HEADER_AND_MARKER = HEADER_SIZE + _MARKER_SIZE
FRAME_HEAD = _FRAME.size

_checksum: Callable[[int, bytes], int] = google_crc32c.extend
_pack = _FRAME.pack


class Header(NamedTuple):
    marker: bytes
    is_damaged: bool
    """The header failed its checksum; the marker is the one that the first frame begins with."""


def new_marker() -> bytes:
    return os.urandom(_MARKER_SIZE)


def header(marker: bytes, version: int = VERSION) -> bytes:
    """The first ``HEADER_SIZE`` bytes of a segment."""
    checked = _HEADER.pack(_MAGIC, version, marker, 0)[:-4]
    return checked + _checksum(0, checked).to_bytes(4, "little")


def parse_header(start: bytes) -> Header | None:
    """Reads the first ``HEADER_AND_MARKER`` bytes of a segment; None while there are too few to tell.

    JournalError if a newer version has written the segment.
    """
    if len(start) < HEADER_SIZE:
        return None
    magic, version, marker, checksum = _HEADER.unpack_from(start)
    if magic != _MAGIC or _checksum(0, start[: HEADER_SIZE - 4]) != checksum:
        marker = start[HEADER_SIZE:HEADER_AND_MARKER]
        return Header(marker, is_damaged=True) if len(marker) == _MARKER_SIZE else None
    if version > VERSION:
        raise JournalError(
            f"a segment has format {version}, and this version knows formats up to {VERSION}: use the newer "
            "version again, or let it empty the journal first; upgrade books before relays"
        )
    return Header(marker, is_damaged=False)


def frame(payload: bytes, marker: bytes) -> bytes:
    """One frame. Seeding the checksum with the length guards the length too."""
    length = len(payload)
    return _pack(marker, length, _checksum(length, payload)) + payload


def payload_of(whole_frame: bytes) -> bytes:
    """What ``frame`` was given."""
    return whole_frame[FRAME_HEAD:]


def payload_at(data: bytes, at: int, marker: bytes) -> bytes | None:
    """The payload of the frame that starts at ``at``; None unless it is all there and undamaged."""
    room = len(data) - at - FRAME_HEAD
    if room < 0:
        return None
    found, length, checksum = _FRAME.unpack_from(data, at)
    # A stretch of zeros, as a power cut may leave it, has length 0 and must not pass for frames.
    if found != marker or not 0 < length <= room:
        return None
    start = at + FRAME_HEAD
    payload = data[start : start + length]
    return payload if _checksum(length, payload) == checksum else None


def claimed_size(data: bytes, marker: bytes) -> int:
    """How long the frame at the start of ``data`` says that it is, head included; 0 if none begins there."""
    if len(data) < FRAME_HEAD:
        return 0
    found, length, _ = _FRAME.unpack_from(data)
    return FRAME_HEAD + length if found == marker else 0


def scan(data: bytes, marker: bytes, limit: int) -> tuple[list[bytes], int]:
    """The payloads of up to ``limit`` good frames from the start of ``data``, and where they end."""
    payloads: list[bytes] = []
    at = 0
    while len(payloads) < limit:
        payload = payload_at(data, at, marker)
        if payload is None:
            break
        payloads.append(payload)
        at += FRAME_HEAD + len(payload)
    return payloads, at


def find_frame(data: bytes, start: int, marker: bytes) -> int | None:
    """Where the first good frame at or after ``start`` begins."""
    at = data.find(marker, start)
    while at >= 0:
        if payload_at(data, at, marker) is not None:
            return at
        at = data.find(marker, at + 1)
    return None


def payloads_in(data: bytes) -> Iterator[bytes]:
    """Those of all good frames of a whole segment."""
    head = parse_header(data[:HEADER_AND_MARKER])
    at = find_frame(data, HEADER_SIZE, head.marker) if head is not None else None
    while head is not None and at is not None:
        payload = payload_at(data, at, head.marker)
        if payload is None:
            at = find_frame(data, at, head.marker)
        else:
            yield payload
            at += FRAME_HEAD + len(payload)


def good_end(segment: bytes) -> int:
    """Where the last good frame of a whole segment ends; what follows is a torn tail.

    Damage before a good frame is not a tail: cutting there would lose what follows it.
    """
    head = parse_header(segment[:HEADER_AND_MARKER])
    if head is None:
        return 0
    end = HEADER_SIZE
    at = find_frame(segment, end, head.marker)
    while at is not None:
        payload = payload_at(segment, at, head.marker)
        while payload is not None:
            end = at = at + FRAME_HEAD + len(payload)
            payload = payload_at(segment, at, head.marker)
        at = find_frame(segment, end, head.marker)
    return end
