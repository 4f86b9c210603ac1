"""Reads some members of a JSON object as it passes, in pieces and of any length, without holding it.

Strategy: an object or a list on the way to a wanted member is followed sign by sign; every other value is skipped
with patterns that take as much as they can, several levels of nesting at a time. Only wanted values are held, each
up to a limit. This is no check: what is skipped is not looked at, and a value is handed out as it stands, ``NaN`` too.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import NamedTuple

from .surrogates import decode_json

__all__ = ["Member", "MemberScanner", "Path"]

Path = tuple[str, ...]
"""Names from the outermost object on; ``"*"`` stands for every item of a list."""

_BOM = b"\xef\xbb\xbf"
_QUOTE = 0x22

# Possessive: nothing that was taken is ever given back, so the time is linear in what is read.
_SPACE = rb"[ \t\r\n]*+"
_BARE_VALUE = rb"[-+.0-9A-Za-z]++"
_QUOTED = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_FLAT = rb'[^"{}\[\]]*+(?:%b[^"{}\[\]]*+)*+' % _QUOTED


def _around(inner: bytes) -> bytes:
    """What a list or an object may have inside, if its own lists and objects have ``inner``."""
    return rb'[^"{}\[\]]*+(?:(?:%b|[{\[]%b[}\]])[^"{}\[\]]*+)*+' % (_QUOTED, inner)


_NESTED = _around(_FLAT)
_skip_inside = re.compile(_around(_around(_NESTED)), re.DOTALL).match
_skip_brackets = re.compile(rb"[{\[]++|[}\]]++").match
_skip_text = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL).match
_quoted = re.compile(_QUOTED, re.DOTALL).match
_skip_space = re.compile(_SPACE).match
_skip_bare = re.compile(rb"[-+.0-9A-Za-z]*+").match

# A longer name is nobody's.
_LONGEST_NAME = 1024
# No answer has as many choices: what comes later is skipped. And nobody repeats a name as often.
_MOST_OF_A_PATH = 1024

# What comes next.
_START, _VALUE, _FIRST_ITEM, _NAME, _FIRST_NAME, _COLON, _AFTER, _INSIDE, _TEXT, _BARE = range(10)

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

    __slots__ = ("inner", "limit", "path", "skip_others")

    def __init__(self, path: Path, wanted: Mapping[Path, int]) -> None:
        depth = len(path)
        names = {below[depth] for below in wanted if below[:depth] == path and len(below) > depth}
        self.path = path
        self.limit = wanted.get(path)
        self.inner = {name: _Node((*path, name), wanted) for name in names}
        self.skip_others = _others(frozenset(names))


class _Followed(NamedTuple):
    """An object that is followed; with an ``item``, which counts from 0, a list."""

    node: _Node
    item: int = -1


class MemberScanner:
    """Finds the members that ``wanted`` names, each with the most bytes that are held of its value.

    ``feed`` it a document in pieces, cut anywhere. ``members`` has those found so far by path, in order: more than
    one where a name was repeated (most readers take the last) or the path leads through a list. A value is there
    once the sign behind it has passed. A path may not lead through a value that is wanted itself.
    """

    def __init__(self, wanted: Mapping[Path, int]) -> None:
        self.members: dict[Path, list[Member]] = {}
        self.is_whole = False
        """Whether the object has ended."""
        self.is_invalid = False
        """Whether this cannot be a JSON object, or something follows it. Nothing is read from there on."""
        self._root = _tree(tuple(wanted.items()))
        # where we are
        self._followed: list[_Followed] = []
        self._expects = _START
        self._here: _Node | None = None  # what the value that comes next is, if it is wanted or leads there
        self._depth = 0  # of brackets around the value that is skipped; -1: it is a name
        # what is held: the beginning of a sign that is not whole, and of a wanted value
        self._rest = b""
        self._passed = 0
        self._captured: list[bytes] | None = None
        self._captured_from = 0
        self._room = 0

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
        data = self._rest + piece if self._rest else piece
        at = 0
        while at < len(data) and not self.is_invalid:
            before, expected = at, self._expects
            at = self._step(data, at)
            if at == before and self._expects == expected:
                break  # the rest of a sign is still to come
        if self.is_invalid:
            self._rest, self._captured = b"", None
            return
        if self._captured is not None:
            self._hold(data[max(self._captured_from - self._passed, 0) : at])
        self._passed += at
        self._rest = data[at:]

    def _step(self, data: bytes, at: int) -> int:
        """Reads what comes next and returns where it ended; where it began, if it is not whole."""
        expects = self._expects
        if expects == _INSIDE:
            return self._step_inside(data, at)
        if expects == _TEXT:
            return self._step_text(data, at)
        if expects == _BARE:
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
            self._step_after(sign)
        elif sign == b":":
            self._expects = _VALUE
        else:
            self.is_invalid = True
        return at + 1

    def _step_start(self, data: bytes, at: int, sign: bytes) -> int:
        if sign == b"{":
            self._followed.append(_Followed(self._root))
            self._expects = _FIRST_NAME
            return at + 1
        if data.startswith(_BOM, at):
            return at + len(_BOM)
        self.is_invalid = not _BOM.startswith(data[at:])
        return at

    def _step_name(self, data: bytes, at: int, sign: bytes) -> int:
        node = self._followed[-1].node
        if sign == b"}" and self._expects == _FIRST_NAME:
            self._close()
            return at + 1
        if sign != b'"':
            self.is_invalid = True
            return at
        skipped = _end(node.skip_others, data, at)
        if skipped > at:
            self._expects = _NAME
            return skipped
        found = _quoted(data, at)
        if found is not None:
            name = found[0]
            self._here = node.inner.get(_plain(name)) if len(name) <= _LONGEST_NAME else None
            self._expects = _COLON
            return found.end()
        if len(data) - at > _LONGEST_NAME:
            self._here, self._depth, self._expects = None, -1, _TEXT
            return at + 1
        return at

    def _begin_value(self, data: bytes, at: int, sign: bytes) -> int:
        here = self._here
        if sign == b"]" and self._expects == _FIRST_ITEM:
            self._close()
            return at + 1
        if here is not None and here.limit is not None:
            self._captured, self._room = [], here.limit
            self._captured_from = self._passed + at
        elif here is not None and sign == b"[" and "*" in here.inner:
            self._followed.append(_Followed(here, 0))
            self._here, self._expects = here.inner["*"], _FIRST_ITEM
            return at + 1
        elif here is not None and sign == b"{" and here.inner:
            self._followed.append(_Followed(here))
            self._expects = _FIRST_NAME
            return at + 1
        if sign in (b"{", b"["):
            self._depth, self._expects = 1, _INSIDE
            return at + 1
        if sign == b'"':
            self._depth, self._expects = 0, _TEXT
            return at + 1
        self._expects = _BARE
        self.is_invalid = _end(_skip_bare, data, at) == at
        return at

    def _step_inside(self, data: bytes, at: int) -> int:
        at = _end(_skip_inside, data, at)
        if at == len(data):
            return at
        sign = data[at]
        if sign == _QUOTE:  # a text that does not end here
            self._expects = _TEXT
            return at + 1
        end = _end(_skip_brackets, data, at)
        if sign in b"{[":
            self._depth += end - at
        elif end - at < self._depth:
            self._depth -= end - at
        else:
            end, self._depth = at + self._depth, 0
            self._value_ended(data, end)
        return end

    def _step_text(self, data: bytes, at: int) -> int:
        end = data.find(b'"', at)
        if data.find(b"\\", at, end if end >= 0 else len(data)) >= 0:
            end = _end(_skip_text, data, at)
            if end == len(data) or data[end] != _QUOTE:
                return end  # a backslash waits for what it escapes
        if end < 0:
            return len(data)
        if self._depth > 0:
            self._expects = _INSIDE
        elif self._depth < 0:
            self._depth, self._expects = 0, _COLON
        else:
            self._value_ended(data, end + 1)
        return end + 1

    def _step_bare(self, data: bytes, at: int) -> int:
        at = _end(_skip_bare, data, at)
        if at < len(data):
            self._value_ended(data, at)
        return at

    def _step_after(self, sign: bytes) -> None:
        if not self._followed:
            self.is_invalid = True
            return
        node, item = self._followed[-1]
        if sign == (b"}" if item < 0 else b"]"):
            self._close()
        elif sign != b",":
            self.is_invalid = True
        elif item < 0:
            self._expects = _NAME
        elif item < _MOST_OF_A_PATH:
            self._followed[-1] = _Followed(node, item + 1)
            self._here, self._expects = node.inner["*"], _VALUE
        else:
            self._followed.pop()
            self._depth, self._expects = 1, _INSIDE

    def _close(self) -> None:
        """An object or a list that was followed has ended."""
        self._followed.pop()
        self._expects = _AFTER
        self.is_whole = not self._followed

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
        if len(found) > _MOST_OF_A_PATH:
            found.pop()
            self.is_invalid = "*" not in here.path
        found.append(Member(raw, self._captured_from, self._passed + end, item))

    def _hold(self, data: bytes) -> None:
        if self._captured is None:
            return
        self._room -= len(data)
        if self._room < 0:
            self._captured.clear()
        else:
            self._captured.append(data)


@lru_cache(maxsize=64)
def _tree(wanted: tuple[tuple[Path, int], ...]) -> _Node:
    return _Node((), dict(wanted))


def _others(names: frozenset[str]) -> Matcher:
    """Skips members, whole and with the comma behind, whose names are not these and have no escapes."""
    wanted = b"|".join(re.escape(name.encode()) for name in sorted(names)) or b'"'
    member = rb'"(?!(?:%b)")[^"\\]*+"%b:%b(?:%b|%b|[{\[]%b[}\]])%b,%b' % (
        wanted,
        _SPACE,
        _SPACE,
        _BARE_VALUE,
        _QUOTED,
        _NESTED,
        _SPACE,
        _SPACE,
    )
    return re.compile(rb"(?:%b)*+" % member, re.DOTALL).match


def _plain(quoted: bytes) -> str:
    """A name without its quotes and escapes."""
    name = decode_json(quoted)
    return name if isinstance(name, str) else ""


def _end(match: Matcher, data: bytes, at: int) -> int:
    """Where a pattern that matches everywhere has ended."""
    found = match(data, at)
    return found.end() if found is not None else at
