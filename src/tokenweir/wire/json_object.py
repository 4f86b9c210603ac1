"""Where the members of a JSON object stand, read as its bytes arrive. A pure machine.

Operations: ``feed`` takes a piece, ``finish`` says what was found.
Goals: a name that is looked for is found however it is written, and must be there once; the time a piece takes
depends on its size only, however large or deep the body is; memory does not grow with it.
Plan: texts and brackets are passed over by possessive patterns, so that nothing is tried twice; only the names at the
top and the few values that are wanted are kept. The object itself is judged strictly (names, colons, commas, matching
brackets, nothing behind it). What stands inside a member is its reader's to judge: half a surrogate pair and ``NaN``
pass, as upstreams let them pass.
"""

import json
import re
from collections.abc import Iterable
from functools import cache
from typing import Any, Literal

import msgspec

from .structs import MemberPlace, Members
from .surrogates import mend_json

__all__ = ["ObjectReader", "decode_value"]

# Deeper than any schema, and than the strict decoder goes.
_MAX_DEPTH = 1000
# A name of 20 letters, each written as \u0061.
_MAX_NAME = 128
# Names that are kept are few; those with letters written as escapes are read one by one, and nobody has many.
_MAX_OTHERS = 64
_MAX_ESCAPED = 10_000

_SPACE = re.compile(rb"[ \t\r\n]*+")
_BARE = re.compile(rb"[-+.0-9A-Za-z]*+")
_IN_TEXT = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_TEXT = rb'"(?:[^"\\]++|\\.)*+"'
_ATOM = rb"[-+.0-9A-Za-z:, \t\r\n]++|" + _TEXT
_NESTED = rb"\[(?:%b)*+\]|\{(?:%b)*+\}" % (_ATOM, _ATOM)
for _ in range(3):  # whole values, up to four brackets deep, are passed over in one match
    _NESTED = rb"\[(?:%b|%b)*+\]|\{(?:%b|%b)*+\}" % (_ATOM, _NESTED, _ATOM, _NESTED)
_IN_BRACKETS = re.compile(rb"(?:%b|%b)*+" % (_ATOM, _NESTED), re.DOTALL)
_BRACKETS = re.compile(rb"[\[{]++|[\]}]++")
_PARTNER = bytes.maketrans(b"[{", b"]}")

_Place = Literal["start", "first", "name", "colon", "value", "bare", "brackets", "text", "comma", "behind"]


class ObjectReader:
    """Reads one object. Raises ``ValueError`` with what is wrong; after that nothing may be fed any more."""

    def __init__(self, wanted: Iterable[str], *, max_value: int = 64 * 1024) -> None:
        """``wanted`` are names of ASCII letters and underscores."""
        self._wanted = frozenset(wanted)
        self._unwanted = _unwanted_members(self._wanted)
        self._max_value = max_value
        self._escaped = 0
        self._count = 0
        self._found: dict[str, MemberPlace] = {}
        self._others: set[str] | None = set()
        self._place: _Place = "start"
        self._before = 0
        """Bytes of the pieces before this one."""
        self._is_empty = True
        self._end = 0
        # of the name or value that is being read
        self._kept: list[bytes] | None = None
        self._room = 0
        self._name: str | None = None
        self._value_at = 0
        self._stack = b""
        """The closing brackets that are expected, outermost first."""
        self._in_name = False
        self._is_escaped = False

    def feed(self, piece: bytes) -> None:
        at, size = 0, len(piece)
        while at < size:
            at = self._step(piece, at)
        self._before += size

    def finish(self) -> Members:
        if self._place != "behind":
            raise ValueError("it is cut off" if self._place != "start" else "it is empty")
        return Members(self._found, self._others, self._is_empty, self._end)

    # --- inside: each takes a piece and a place in it, and returns the place up to which it has read ---

    def _step(self, piece: bytes, at: int) -> int:
        place = self._place
        if place == "text":
            return self._read_text(piece, at)
        if place == "brackets":
            return self._read_brackets(piece, at)
        if place == "bare":
            return self._read_bare(piece, at)
        if place == "name" and self._others is None:
            at = _end(self._unwanted, piece, at)
        at = _end(_SPACE, piece, at)
        if at == len(piece):
            return at
        sign = piece[at : at + 1]
        if place == "value":
            return self._begin_value(sign, at)
        if place in ("first", "name") and sign == b'"':
            self._in_name, self._place, self._is_empty = True, "text", False
            self._kept, self._room = [], _MAX_NAME
        elif place == "colon" and sign == b":":
            self._place = "value"
        elif place == "comma" and sign == b",":
            self._place = "name"
        elif place in ("first", "comma") and sign == b"}":
            self._place, self._end = "behind", self._before + at
        elif place == "start" and sign == b"{":
            self._place = "first"
        elif place == "start":
            raise ValueError("it does not begin with a brace")
        elif place == "behind":
            raise ValueError(f"something follows its end (byte {self._before + at})")
        else:
            raise self._unexpected(at)
        return at + 1

    def _begin_value(self, sign: bytes, at: int) -> int:
        self._value_at = self._before + at
        self._kept, self._room = ([], self._max_value) if self._name is not None else (None, 0)
        if sign == b'"':
            self._place = "text"
            self._keep(sign)
            return at + 1
        if sign in (b"[", b"{"):
            self._place = "brackets"
            return at
        self._place = "bare"
        return at

    def _read_bare(self, piece: bytes, at: int) -> int:
        end = _end(_BARE, piece, at)
        self._keep(piece[at:end])
        if end < len(piece):
            if end == at and self._before + at == self._value_at:
                raise self._unexpected(at)
            self._value_ends(end)
        return end

    def _read_text(self, piece: bytes, at: int) -> int:
        """From behind the opening quote, or from the beginning of a piece inside of it."""
        start = at
        if self._is_escaped:
            self._is_escaped = False
            at += 1
        if piece.find(b'"', at) < 0 and piece.find(b"\\", at) < 0:  # an image, most of all
            end = len(piece)
        else:
            end = _end(_IN_TEXT, piece, at)
        if end < len(piece) and piece[end] == 0x5C:  # a backslash at the very end
            self._is_escaped = True
            end += 1
        if end == len(piece):
            self._keep(piece[start:end])
            return end
        if self._in_name:
            self._keep(piece[start:end])
            self._name_ends()
        elif self._stack:
            self._keep(piece[start : end + 1])
            self._place = "brackets"
        else:
            self._keep(piece[start : end + 1])
            self._value_ends(end + 1)
        return end + 1

    def _read_brackets(self, piece: bytes, at: int) -> int:
        start, size = at, len(piece)
        while at < size:
            if self._stack:
                at = _end(_IN_BRACKETS, piece, at)
                if at == size:
                    break
            run = _BRACKETS.match(piece, at)
            if run is None:
                if piece[at] != 0x22:
                    raise self._unexpected(at)
                at += 1
                self._place = "text"
                break
            signs = run[0]
            if signs[0] in b"[{":
                if len(self._stack) + len(signs) > _MAX_DEPTH:
                    raise ValueError(f"it is nested deeper than {_MAX_DEPTH} times")
                self._stack += signs.translate(_PARTNER)
                at += len(signs)
                continue
            signs = signs[: len(self._stack)]
            if self._stack[: -len(signs) - 1 : -1] != signs:
                raise self._unexpected(at)
            self._stack = self._stack[: -len(signs)]
            at += len(signs)
            if not self._stack:
                self._keep(piece[start:at])
                self._value_ends(at)
                return at
        self._keep(piece[start:at])
        return at

    def _name_ends(self) -> None:
        raw = b"".join(self._kept) if self._kept is not None else None
        name = _name(raw) if raw is not None else None
        self._in_name, self._kept, self._place = False, None, "colon"
        if raw is not None and b"\\" in raw:
            self._escaped += 1
            if self._escaped > _MAX_ESCAPED:
                raise ValueError(f"more than {_MAX_ESCAPED} names of its members are written with escapes")
        self._count += 1
        self._name = name if name in self._wanted else None
        if self._name is not None:
            if self._name in self._found:
                raise ValueError(f"it has `{self._name}` twice, and which of them counts is not certain")
        elif self._others is not None:
            if name is None or self._count > _MAX_OTHERS:
                self._others = None
            else:
                self._others.add(name)

    def _value_ends(self, at: int) -> None:
        if self._name is not None:
            value = b"".join(self._kept) if self._kept is not None else None
            self._found[self._name] = MemberPlace(self._value_at, self._before + at, value)
        self._name = self._kept = None
        self._place = "comma"

    def _keep(self, part: bytes) -> None:
        if self._kept is None:
            return
        self._room -= len(part)
        if self._room < 0:
            self._kept = None
        else:
            self._kept.append(part)

    def _unexpected(self, at: int) -> ValueError:
        return ValueError(f"there is an unexpected character (byte {self._before + at})")


@cache
def _unwanted_members(wanted: frozenset[str]) -> re.Pattern[bytes]:
    """Whole members that are not looked for, each with its comma. A letter can be written as itself or as ``\\u00``
    and its code (5f, 61 to 7a), so a name with another escape is none of them."""
    names = "|".join(sorted(wanted)).encode("ascii")
    name = rb'"(?!(?:%b)")(?:[^"\\]++|\\(?!u00[567]).)*+"' % names
    value = rb"%b|[-+.0-9A-Za-z]++|%b" % (_TEXT, _NESTED)
    blank = rb"[ \t\r\n]*+"
    return re.compile(rb"(?:%b%b%b:%b(?:%b)%b,)*+" % (blank, name, blank, blank, value, blank), re.DOTALL)


def decode_value(raw: bytes) -> Any:
    """A member's value. Half a surrogate pair becomes U+FFFD, ``NaN`` a float. Raises ``ValueError``."""
    try:
        return msgspec.json.decode(raw)
    except (ValueError, RecursionError):
        return _decode_leniently(raw)


def _decode_leniently(raw: bytes) -> Any:
    try:
        return json.loads(mend_json(raw))
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def _name(raw: bytes) -> str | None:
    try:
        name = decode_value(b'"' + raw + b'"')
    except ValueError:
        return None
    return name if isinstance(name, str) else None


def _end(pattern: re.Pattern[bytes], data: bytes, at: int) -> int:
    """Where ``pattern``, which may match nothing, ends."""
    match = pattern.match(data, at)
    return match.end() if match is not None else at
