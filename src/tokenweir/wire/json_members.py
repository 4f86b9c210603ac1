"""Reads some members of a JSON object as it passes, in pieces and of any length, without holding it. A pure machine.

Strategy: an object or a list on the way to a wanted member is followed sign by sign; every other value is skipped
with patterns that take as much as they can, several levels of nesting at a time. Only wanted values are held, each
up to a limit. What a piece costs depends on its size only, whatever is in it: some 150 ns a byte of the worst.

The object itself is judged strictly (names, colons, commas, matching brackets, nothing behind it). What stands inside
a text or a number is its reader's to judge: half a surrogate pair and ``NaN`` pass.
"""

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from .structs import MemberPlace, Members
from .surrogates import mend_json

__all__ = ["Member", "MemberScanner", "ObjectReader", "Path", "decode_value"]

Path = tuple[str, ...]
"""Names from the outermost object on; ``"*"`` stands for every item of a list."""

_BOM = b"\xef\xbb\xbf"
_QUOTE = 0x22

# Possessive: nothing that was taken is ever given back, so the time is linear in what is read.
_SPACE = rb"[ \t\r\n]*+"
_BARE = rb"[-+.0-9A-Za-z]"
_IN_TEXT = rb'[^"\\]*+(?:\\.[^"\\]*+)*+'
_QUOTED = rb'"%b"' % _IN_TEXT
_NO_BRACKETS = rb"[-+.0-9A-Za-z:, \t\r\n]*+"
_FLAT = rb"%b(?:%b%b)*+" % (_NO_BRACKETS, _QUOTED, _NO_BRACKETS)


def _around(inner: bytes) -> bytes:
    """What a list or an object may have inside, if its own lists and objects have ``inner``."""
    return rb"%b(?:(?:%b|\[%b\]|\{%b\})%b)*+" % (_NO_BRACKETS, _QUOTED, inner, inner, _NO_BRACKETS)


_NESTED = _around(_FLAT)
_skip_inside = re.compile(_around(_around(_NESTED)), re.DOTALL).match
_skip_flat = re.compile(_FLAT, re.DOTALL).match
_to_brackets = re.compile(rb"%b([\[{]++|[\]}]++)" % _FLAT, re.DOTALL).match
_skip_text = re.compile(_IN_TEXT, re.DOTALL).match
_quoted = re.compile(_QUOTED, re.DOTALL).match
_skip_space = re.compile(_SPACE).match
_skip_bare = re.compile(_BARE + rb"*+").match
_PARTNER = bytes.maketrans(b"[{", b"]}")

# A longer name is nobody's: one of 40 letters, each written as \u0061, has 240 bytes.
_MAX_NAME = 1024
# No answer has as many choices: what comes later is skipped. And nobody repeats a name as often.
_MAX_PER_PATH = 1024
# Deeper than any schema, and than any decoder goes.
_MAX_DEPTH = 1000
# The other names of a request that are kept; those of the API are fewer.
_MAX_OTHERS = 64

# What comes next.
_START, _VALUE, _FIRST_ITEM, _NAME, _FIRST_NAME, _COLON, _AFTER, _INSIDE, _TEXT, _BARE_VALUE = range(10)

Matcher = Callable[[bytes, int], re.Match[bytes] | None]


class Member(NamedTuple):
    """A wanted member that was found."""

    raw: bytes | None
    """Its value as it was written, or None where it is longer than its limit."""
    start: int
    """Where the value starts and ends, in bytes from the very beginning."""
    end: int
    item: int = 0
    """Which item of the innermost list that its path leads through."""


class _Node:
    """A place on the way to wanted members, or one itself: then it has a limit."""

    __slots__ = ("inner", "limit", "names", "path", "skip_others", "spelled")

    def __init__(self, path: Path, wanted: Mapping[Path, int]) -> None:
        depth = len(path)
        below = {other[depth] for other in wanted if other[:depth] == path and len(other) > depth}
        self.path = path
        self.limit = wanted.get(path)
        self.inner = {name: _Node((*path, name), wanted) for name in below}
        self.names = sorted(below - {"*"})
        spelled = [_spelled(name) for name in self.names]
        self.skip_others = _others(self.names)
        self.spelled = re.compile(rb'"(?:%b)"' % (b"|".join(b"(%b)" % name for name in spelled) or b"(?!)")).fullmatch

    def named(self, quoted: bytes) -> "_Node | None":
        """What stands under a name, which is given with its quotes, however it is written."""
        found = self.spelled(quoted)
        return self.inner[self.names[found.lastindex - 1]] if found is not None and found.lastindex else None


class _Followed(NamedTuple):
    """An object that is followed; with an ``item``, which counts from 0, a list."""

    node: _Node
    item: int = -1


class MemberScanner:
    """Finds the members that ``wanted`` names, each with the most bytes that are held of its value.

    ``feed`` it a document in pieces, cut anywhere. ``members`` has those found so far by path, in order: more than
    one where a name was repeated (most readers take the last) or the path leads through a list. A value is there
    once the sign behind it has passed. A path may not lead through a value that is wanted itself. Names that are
    wanted are ASCII.
    """

    def __init__(self, wanted: Mapping[Path, int], *, keeps_others: bool = False) -> None:
        self.members: dict[Path, list[Member]] = {}
        self.others: set[str] | None = set() if keeps_others else None
        """The names in the outermost object that are not wanted; None where they are more, or longer, than are kept."""
        self.is_whole = False
        """Whether the object has ended."""
        self.end = 0
        """Where its closing brace stands."""
        self.problem: str | None = None
        """Why this cannot be a JSON object, or that something follows it. Nothing is read from there on."""
        self._root = _tree(tuple(wanted.items()))
        # where we are
        self._followed: list[_Followed] = []
        self._expects = _START
        self._here: _Node | None = None  # what the value that comes next is, if it is wanted or leads there
        self._stack = b""  # the closing brackets that are expected, outermost first, inside a value that is skipped
        self._in_name = False  # inside a text that is a name, and longer than any that is wanted
        self._others_left = _MAX_OTHERS
        # what is held: the beginning of a sign that is not whole, and of a wanted value
        self._rest = b""
        self._passed = 0
        self._captured: list[bytes] | None = None
        self._captured_from = 0
        self._room = 0

    @property
    def has_begun(self) -> bool:
        """Whether anything but blanks has come."""
        return self._expects != _START

    @property
    def is_invalid(self) -> bool:
        """Whether there is a ``problem``."""
        return self.problem is not None

    @property
    def is_repeated(self) -> bool:
        """Whether a wanted name stood twice in one object. Of paths through lists nothing is said."""
        return any(len(found) > 1 for path, found in self.members.items() if "*" not in path)

    def last(self, *path: str) -> bytes | None:
        """The value of the last member of this path, if there was one and it was not too long."""
        found = self.members.get(path)
        return found[-1].raw if found else None

    def feed(self, piece: bytes) -> None:
        """Reads the next piece."""
        if self.problem is not None:
            return
        data = self._rest + piece if self._rest else piece
        at = 0
        try:
            while at < len(data):
                before, expected = at, self._expects
                at = self._step(data, at)
                if at == before and self._expects == expected:
                    break  # the rest of a sign is still to come
        except ValueError as error:
            self.problem = str(error)
            self._rest, self._captured = b"", None
            return
        if self._captured is not None:
            self._hold(data[max(self._captured_from - self._passed, 0) : at])
        self._passed += at
        self._rest = data[at:]

    # --- inside: each step reads what comes next and returns where it ended; where it began, if it is not whole ---

    def _step(self, data: bytes, at: int) -> int:
        expects = self._expects
        if expects == _INSIDE:
            return self._step_inside(data, at)
        if expects == _TEXT:
            return self._step_text(data, at)
        if expects == _BARE_VALUE:
            return self._step_bare(data, at)
        at = _end(_skip_space, data, at)
        if at == len(data):
            return at
        sign = data[at : at + 1]
        if expects in (_VALUE, _FIRST_ITEM):
            return self._begin_value(data, at, sign)
        if expects in (_NAME, _FIRST_NAME):
            return self._step_name(data, at, sign)
        if expects == _START:
            return self._step_start(data, at, sign)
        if expects == _AFTER:
            self._step_after(at, sign)
        elif sign == b":":
            self._expects = _VALUE
        else:
            raise self._unexpected(at)
        return at + 1

    def _step_start(self, data: bytes, at: int, sign: bytes) -> int:
        if sign == b"{":
            self._followed.append(_Followed(self._root))
            self._expects = _FIRST_NAME
            return at + 1
        if self._passed + at == 0 and (data.startswith(_BOM) or _BOM.startswith(data)):
            return len(_BOM) if data.startswith(_BOM) else 0
        raise ValueError("it does not begin with a brace")

    def _step_name(self, data: bytes, at: int, sign: bytes) -> int:
        node = self._followed[-1].node
        if sign == b"}" and self._expects == _FIRST_NAME:
            self._close(at)
            return at + 1
        if sign != b'"':
            raise self._unexpected(at)
        keeps = self.others is not None and len(self._followed) == 1
        if not keeps:
            skipped = _end(node.skip_others, data, at)
            if skipped > at:
                self._expects = _NAME
                return skipped
        found = _quoted(data, at)
        if found is not None:
            name = found[0]
            self._here = node.named(name) if len(name) <= _MAX_NAME else None
            if keeps and self._here is None:
                self._keep_other(name)
            self._expects = _COLON
            return found.end()
        if len(data) - at > _MAX_NAME:
            self._here, self._in_name, self._expects = None, True, _TEXT
            if keeps:
                self.others = None
            return at + 1
        return at

    def _keep_other(self, quoted: bytes) -> None:
        self._others_left -= 1
        try:
            name = decode_value(quoted) if self._others_left >= 0 and len(quoted) <= _MAX_NAME else None
        except ValueError:
            name = None
        if name is None or self.others is None:
            self.others = None
        else:
            self.others.add(name)

    def _begin_value(self, data: bytes, at: int, sign: bytes) -> int:
        here = self._here
        if sign == b"]" and self._expects == _FIRST_ITEM:
            self._close(at)
            return at + 1
        if here is not None and here.limit is not None:
            self._captured, self._room = [], here.limit
            self._captured_from = self._passed + at
        elif here is not None and sign == b"[" and "*" in here.inner:
            self._followed.append(_Followed(here, 0))
            self._here, self._expects = here.inner["*"], _FIRST_ITEM
            return at + 1
        elif here is not None and sign == b"{" and here.names:
            self._followed.append(_Followed(here))
            self._expects = _FIRST_NAME
            return at + 1
        if sign in (b"{", b"["):
            self._stack, self._expects = sign.translate(_PARTNER), _INSIDE
            return at + 1
        if sign == b'"':
            self._expects = _TEXT
            return at + 1
        self._expects = _BARE_VALUE
        if _end(_skip_bare, data, at) == at:
            raise self._unexpected(at)
        return at

    def _step_inside(self, data: bytes, at: int) -> int:
        at = _end(_skip_inside, data, at)
        # What is nested deeper than the pattern, or cut off: bracket by bracket, up to the first that closes. Only then
        # is the pattern tried again, so that nothing is looked at more often than it has levels.
        stack = self._stack
        found = _to_brackets(data, at)
        while found is not None:
            signs, at = found[1], found.end()
            if signs[0] in b"[{":
                stack += signs.translate(_PARTNER)
                if len(stack) > _MAX_DEPTH:
                    raise ValueError(f"it is nested deeper than {_MAX_DEPTH} times")
                found = _to_brackets(data, at)
                continue
            left = len(stack) - len(signs)
            closing = signs[: len(stack)]
            if not stack.endswith(closing[::-1]):
                raise self._unexpected(found.start(1))
            self._stack = stack[:left] if left > 0 else b""
            if left <= 0:
                at = found.start(1) + len(stack)
                self._value_ended(data, at)
            return at
        self._stack = stack
        at = _end(_skip_flat, data, at)
        if at < len(data):
            if data[at] != _QUOTE:
                raise self._unexpected(at)
            self._expects = _TEXT  # one that does not end here
            at += 1
        return at

    def _step_text(self, data: bytes, at: int) -> int:
        end = data.find(b'"', at)
        if data.find(b"\\", at, end if end >= 0 else len(data)) >= 0:
            end = _end(_skip_text, data, at)
            if end == len(data) or data[end] != _QUOTE:
                return end  # a backslash waits for what it escapes
        if end < 0:
            return len(data)
        if self._in_name:
            self._in_name, self._expects = False, _COLON
        elif self._stack:
            self._expects = _INSIDE
        else:
            self._value_ended(data, end + 1)
        return end + 1

    def _step_bare(self, data: bytes, at: int) -> int:
        at = _end(_skip_bare, data, at)
        if at < len(data):
            self._value_ended(data, at)
        return at

    def _step_after(self, at: int, sign: bytes) -> None:
        if not self._followed:
            raise ValueError(f"something follows its end (byte {self._passed + at})")
        node, item = self._followed[-1]
        if sign == (b"}" if item < 0 else b"]"):
            self._close(at)
        elif sign != b",":
            raise self._unexpected(at)
        elif item < 0:
            self._expects = _NAME
        elif item < _MAX_PER_PATH:
            self._followed[-1] = _Followed(node, item + 1)
            self._here, self._expects = node.inner["*"], _VALUE
        else:
            self._followed.pop()
            self._here, self._stack, self._expects = None, b"]", _INSIDE

    def _close(self, at: int) -> None:
        """An object or a list that was followed has ended."""
        self._followed.pop()
        self._expects = _AFTER
        if not self._followed:
            self.is_whole, self.end = True, self._passed + at

    def _value_ended(self, data: bytes, end: int) -> None:
        self._expects = _AFTER
        here, captured = self._here, self._captured
        if captured is None or here is None:
            return
        self._hold(data[max(self._captured_from - self._passed, 0) : end])
        raw = b"".join(captured) if self._room >= 0 else None
        self._captured = None
        item = next((one.item for one in reversed(self._followed) if one.item >= 0), 0)
        found = self.members.setdefault(here.path, [])
        if len(found) > _MAX_PER_PATH:
            found.pop()
            if "*" not in here.path:
                raise ValueError(f"it has `{here.path[-1]}` more than {_MAX_PER_PATH} times")
        found.append(Member(raw, self._captured_from, self._passed + end, item))

    def _hold(self, data: bytes) -> None:
        if self._captured is None:
            return
        self._room -= len(data)
        if self._room < 0:
            self._captured.clear()
        else:
            self._captured.append(data)

    def _unexpected(self, at: int) -> ValueError:
        return ValueError(f"there is an unexpected character (byte {self._passed + at})")


class ObjectReader:
    """Reads the outermost members of one object, each of which must be there once.

    Raises ``ValueError`` with what is wrong; after that nothing may be fed any more.
    """

    def __init__(self, wanted: Iterable[str], *, told: Collection[str] = (), max_value: int = 64 * 1024) -> None:
        """``told``: further members that are wanted; they may be there more than once, and the last one counts."""
        self._scanner = MemberScanner({(name,): max_value for name in (*wanted, *told)}, keeps_others=True)
        self._told = told

    def feed(self, piece: bytes) -> None:
        """Reads the next piece."""
        self._scanner.feed(piece)
        for (name, *_), found in self._scanner.members.items():
            if len(found) > 1 and name not in self._told:
                raise ValueError(f"it has `{name}` twice, and which of them counts is not certain")
        if self._scanner.problem is not None:
            raise ValueError(self._scanner.problem)

    def finish(self) -> Members:
        """What the whole object holds."""
        scanner = self._scanner
        if not scanner.is_whole:
            raise ValueError("it is cut off" if scanner.has_begun else "it is empty")
        last = [(path[0], found[-1]) for path, found in scanner.members.items()]
        found = {name: MemberPlace(one.start, one.end, one.raw) for name, one in last}
        return Members(found, scanner.others, not found and scanner.others == set(), scanner.end)


@lru_cache(maxsize=64)
def _tree(wanted: tuple[tuple[Path, int], ...]) -> _Node:
    return _Node((), dict(wanted))


def _spelled(name: str) -> bytes:
    """A name between its quotes, in which each letter may be written as itself or by its code."""
    return b"".join(rb"(?:%b|\\u00(?i:%02x))" % (re.escape(bytes([one])), one) for one in name.encode("ascii"))


def _others(names: list[str]) -> Matcher:
    """Skips members, whole and with the comma behind, whose names are not these."""
    # The first letter alone tells most of them apart.
    first = b"".join(sorted({re.escape(name[:1]).encode() for name in names}))
    wanted = rb"(?=[%b\\])(?:%b)" % (first, b"|".join(map(_spelled, names))) if names else rb"(?!)"
    member = rb'"(?!(?:%b)")%b"%b:%b(?:%b++|%b|\[%b\]|\{%b\})%b,%b' % (
        wanted,
        _IN_TEXT,
        _SPACE,
        _SPACE,
        _BARE,
        _QUOTED,
        _NESTED,
        _NESTED,
        _SPACE,
        _SPACE,
    )
    return re.compile(rb"(?:%b)*+" % member, re.DOTALL).match


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


def _end(match: Matcher, data: bytes, at: int) -> int:
    """Where a pattern that matches everywhere has ended."""
    found = match(data, at)
    return found.end() if found is not None else at
