"""Server-sent events: where one ends, what data it carries, and how to take one out of a stream.

The stream format is the HTML standard's (section 9.2); its grammar allows CR, LF and CR LF as line
ends. Upstreams send LF, some CR LF; nobody has been seen to send CR, whose events are read all the same.
"""

import re
from collections.abc import Iterator

import msgspec

from .structs import UsageFrame
from .surrogates import mend_json

__all__ = ["UsageStripper", "data_of", "looks_like_events", "split_events"]

# Where there is no CR, two line feeds are looked for instead, which costs a tenth.
_EVENT_END = re.compile(rb"\r?\n\r?\n|\r\r")
_BOM = b"\xef\xbb\xbf"
_LONGEST_END = 4
_FIELDS = re.compile(rb"(?:\xef\xbb\xbf)?[\r\n]*(?:data|event|id|retry)?:")
_USAGE_OBJECT = re.compile(rb'"usage"\s*:\s*\{')
_USAGE_NAME = b'"usage"'
_find_usage = re.compile(rb'"usage"(?!:null)').search
_WITH_CHOICE = b'data: {"choices":[{'
_FIRST_CHOICE = re.compile(rb'"choices"\s*:\s*\[\s*\{')

# A byte order mark and the longest name of a field.
_TELLING = 16

# A usage event has some hundred bytes. What is longer is something else and need not wait for its end.
_LONGEST_USAGE_EVENT = 64 * 1024


_decode_frame = msgspec.json.Decoder(UsageFrame).decode


def split_events(data: bytes) -> Iterator[bytes]:
    """The events of ``data``, each with its closing empty line; the last one may lack it."""
    start = 0
    for end in _ends_of_events(data):
        yield data[start:end]
        start = end
    if start < len(data):
        yield data[start:]


def _ends_of_events(data: bytes) -> list[int]:
    """Where the closing empty line of each event ends."""
    if data.find(b"\r") >= 0:  # `in` would ask first whether it is a number, which costs an exception
        return [end.end() for end in _EVENT_END.finditer(data)]
    ends = []
    at = data.find(b"\n\n")
    while at >= 0:
        ends.append(at + 2)
        at = data.find(b"\n\n", at + 2)
    return ends


def data_of(event: bytes) -> bytes:
    """An event's data: its ``data:`` lines without the field name, joined by line feeds."""
    if event.startswith(b"data: "):
        data = event[6:].rstrip(b"\r\n")
        if data.find(b"\n") < 0 and data.find(b"\r") < 0:  # the usual case: one line
            return data
    event = event.removeprefix(_BOM)  # of the first event of a stream (9.2.6)
    if event.find(b"\r") >= 0:
        event = event.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    lines = (line for line in event.split(b"\n") if line.startswith(b"data:"))
    return b"\n".join(line[6:] if line[5:6] == b" " else line[5:] for line in lines)


def looks_like_events(beginning: bytes) -> bool:
    """Whether these first bytes are those of an event stream; no JSON begins so."""
    return _FIELDS.match(beginning) is not None


class UsageStripper:
    """Takes the extra usage event out of a stream whose client did not ask for it.

    ``feed`` returns what may be passed on now. Bytes are held back only while they could be the
    beginning of that event, which upstreams send whole; everything else passes as it arrives.
    """

    def __init__(self, *, may_be_body: bool = False) -> None:
        """``may_be_body``: nothing but its first bytes tells whether this is a stream at all."""
        self._may_be_body = may_be_body
        self._is_body = False
        self._held = b""  # the beginning of an event that may be the one
        self._passed = b""  # or the last bytes of one that is not, and whose beginning was passed on
        self._is_inside = False  # whether there is either

    def feed(self, piece: bytes) -> bytes:
        # Every chunk passes here, and most hold whole events without usage: one event with a choice, as Azure writes
        # it, or any that a search finds nothing in.
        if not self._is_inside and piece.endswith(b"\n\n"):
            if piece.startswith(_WITH_CHOICE) and piece.find(b"\n") == len(piece) - 2:
                return piece
            at = piece.find(_USAGE_NAME)
            if at < 0 or _find_usage(piece, at) is None:
                return piece
        if self._may_be_body:
            piece, self._held = self._held + piece, b""
            if len(piece) < _TELLING and not piece.startswith((b"{", b"[")):
                self._held, self._is_inside = piece, True
                return b""
            self._may_be_body = False
            self._is_body = not looks_like_events(piece)
        if self._is_body:
            return piece
        passing = self._rest_of_passed(piece) if self._passed else 0
        passed = piece[:passing] + self._sift(piece[passing:])
        self._is_inside = bool(self._held or self._passed)
        return passed

    @property
    def is_between(self) -> bool:
        """Whether nothing is known of the next event: what is one by itself, without usage, need not be fed."""
        return not self._is_inside

    def finish(self) -> bytes:
        """What was still held when the stream ended."""
        held, self._held = self._held, b""
        return b"" if held and _is_extra(held) else held

    def _rest_of_passed(self, piece: bytes) -> int:
        """How much of ``piece`` belongs to the event whose beginning was passed on. Its end may lie across."""
        known = self._passed
        end = _EVENT_END.search(known + piece)
        if end is None:
            self._passed = (known + piece)[-_LONGEST_END:]
            return len(piece)
        self._passed = b""
        return end.end() - len(known)

    def _sift(self, piece: bytes) -> bytes:
        data = self._held + piece
        ends = _ends_of_events(data)
        end = ends[-1] if ends else 0
        complete, rest = data[:end], data[end:]
        if _USAGE_OBJECT.search(complete) is not None:
            complete = b"".join(event for event in split_events(complete) if not _is_extra(event))
        if rest and (len(rest) > _LONGEST_USAGE_EVENT or _FIRST_CHOICE.search(rest) is not None):
            complete, rest, self._passed = complete + rest, b"", rest[-_LONGEST_END:]
        self._held = rest
        return complete


def _is_extra(event: bytes) -> bool:
    """Whether an event is the one that ``include_usage`` adds: usage, and no choices, be it none or null."""
    if _USAGE_OBJECT.search(event) is None:
        return False
    data = data_of(event)
    for fix in (bytes, mend_json):
        try:
            frame = _decode_frame(fix(data))
        except (ValueError, RecursionError):
            continue
        return frame.usage is not None and not frame.choices and frame.error is None
    return False
