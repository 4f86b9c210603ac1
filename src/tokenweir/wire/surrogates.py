"""What is not quite JSON, and is sent and read all the same. Half characters: ``\\ud83d`` without its other half, as
JavaScript writes a text cut inside an emoji, or bytes that are no UTF-8.

msgspec refuses such a document, as a strict reader may (RFC 8259, 8.2); upstreams take and send them. Likewise a byte
order mark, and the ``NaN`` and ``Infinity`` that Python and JavaScript write.
"""

import re
from typing import Any

import msgspec

__all__ = ["decode_json", "mend_json"]

_HIGH, _LOW = rb"\\u[dD][89abAB][0-9a-fA-F]{2}", rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_LONE = re.compile(rb"%b(?!%b)|(?<!%b)%b" % (_HIGH, _LOW, _HIGH.replace(b"{2}", b"[0-9a-fA-F]"), _LOW))


_BOM = b"\xef\xbb\xbf"
_TEXT_OR_NO_NUMBER = re.compile(rb'("[^"\\]*+(?:\\.[^"\\]*+)*+"?+)|-?(?:NaN|Infinity)', re.DOTALL)

_decode = msgspec.json.Decoder().decode


def decode_json(data: bytes) -> Any:
    """A JSON document, repaired if it has to be; None if it is none."""
    for attempt in (bytes, mend_json):
        try:
            return _decode(attempt(data))
        except (ValueError, RecursionError):
            continue
    return None


def mend_json(data: bytes) -> bytes:
    """``data`` without a byte order mark, with a text for ``NaN`` and infinities (RFC 8259, 8.1 and 6), and with
    everything that is no character replaced by U+FFFD; the very same object if nothing had to be done."""
    data = data.removeprefix(_BOM)
    if not _is_utf8(data):
        data = data.decode(errors="replace").encode()
    if b"NaN" in data or b"Infinity" in data:
        data = _TEXT_OR_NO_NUMBER.sub(lambda found: found[1] or b'"NaN"', data)
    return _LONE.sub(rb"\\ufffd", data) if b"\\u" in data else data


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
