"""How long the sound in a form is, by what its file says of itself.

Only heads are read: nothing is decoded. A file that does not say it, as a recording that a browser has not finished,
has no length.
"""

import struct
from decimal import Decimal
from io import BytesIO

from ..records import exact_amount
from ..wire import FormReader

__all__ = ["seconds_of_sound"]

_MATROSKA = b"\x1a\x45\xdf\xa3"
_INFO, _DURATION, _SCALE = b"\x15\x49\xa9\x66", b"\x44\x89", b"\x2a\xd7\xb1"
# Where the heads of a WebM file stand, and how large its segment's information is at most.
_HEADS = 64 * 1024
_MOST_OF_INFO = 1024


def seconds_of_sound(form: bytes) -> int | Decimal | None:
    """Of the field ``file``, to a thousandth; None where nobody can tell. Never raises."""
    from tinytag import TinyTag  # of which most relays have no need

    try:
        sound = _file_in(form)
        if sound.startswith(_MATROSKA):
            seconds = _seconds_of_webm(sound[:_HEADS])
        else:
            seconds = TinyTag.get(file_obj=BytesIO(sound), tags=False, duration=True).duration
    except Exception:  # whatever a stranger's file makes a parser do
        return None
    return exact_amount(round(seconds, 3)) if seconds else None


def _file_in(form: bytes) -> bytes:
    reader = FormReader(form[2 : form.index(b"\r\n")], ["file"], max_value=0)
    reader.feed(form)
    place = reader.finish().found["file"]
    return form[place.start : place.end]


def _seconds_of_webm(heads: bytes) -> float | None:
    """RFC 9559, 5.1.2: a duration in units of a scale, which is a millisecond by default."""
    at = heads.find(_INFO)
    info = heads[at : at + _MOST_OF_INFO] if at >= 0 else b""
    told, scale = _value(info, _DURATION), _value(info, _SCALE)
    if len(told) not in (4, 8):
        return None
    duration: float = struct.unpack(">f" if len(told) == 4 else ">d", told)[0]
    return duration * (int.from_bytes(scale, "big") or 1_000_000) / 1e9


def _value(info: bytes, name: bytes) -> bytes:
    """Of an element of at most eight bytes, whose size is one byte with its highest bit set."""
    at = info.find(name)
    if at < 0 or at + len(name) >= len(info):
        return b""
    begin, size = at + len(name) + 1, info[at + len(name)] & 0x7F
    return info[begin : begin + size] if size <= 8 else b""
