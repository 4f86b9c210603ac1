"""Response heads by their shape: what one upstream's answers have in common is worked out once.

Strategy: the heads of one upstream have the same lines in the same order, and differ in a few values: a
request's id, the date, a length, what is left of a rate limit. So a head that was read in full is kept as a
pattern, in which the values that differ are groups. The next head is matched against the pattern in one go,
which proves its grammar as well, and what is wanted of it stands in the groups. A head that does not match is
read in full again; where it has a known shape's lines, the values by which it failed become groups, too. After
a few answers everything matches.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from .fields import Fields
from .heads import ResponseHead
from .responses import judge_response_line, read_response_head

__all__ = ["ResponseHeadReader"]

# An upstream has a shape for answers, one for streams, and some for errors.
_MOST_SHAPES = 8
# Compiling a pattern takes a millisecond, so what never settles is read in full for ever.
_MOST_LESSONS = 100
_LONGEST_HEAD = 8 * 1024

_VALUE = rb"[\t -~\x80-\xff]*+"
_LENGTH = b"content-length"
# Vary from the first head on: they are never the same, or nobody's business to remember.
_ALWAYS_VARY = frozenset(
    [b"apim-request-id", _LENGTH, b"date", b"request-id", b"retry-after", b"set-cookie", b"x-request-id"]
)
# What these say is part of the shape.
_NEVER_VARY = frozenset(
    [b"connection", b"content-type", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"upgrade"]
)


class _Line(NamedTuple):
    """One header line, taken apart. ``name`` is empty where nobody reads it."""

    raw: bytes
    label: bytes
    """The name as it is written."""
    name: bytes
    value: bytes
    travels: bool


class _Shape(NamedTuple):
    """A pattern for whole heads, and what its groups are."""

    pattern: re.Pattern[bytes]
    status: bytes
    lines: Sequence[_Line]
    """Those of the head it was learnt from."""
    varying: frozenset[int]
    model: ResponseHead
    """That head; what does not vary is taken from it."""
    constants: Fields
    reads: Sequence[tuple[bytes, int]]
    """Field → its group, of those that vary and that somebody reads."""
    runs: Sequence[int]
    """The groups that together are the lines that travel."""
    length: int
    """The group of the ``Content-Length``; 0 if there is none."""


class ResponseHeadReader:
    """Reads the heads of one upstream, and remembers their shapes for all its connections."""

    def __init__(self) -> None:
        self._shapes: list[_Shape] = []
        self._lessons = 0

    def read(self, head: bytes) -> ResponseHead:
        """What ``read_response_head`` says of it, or raises."""
        for shape in self._shapes:
            match = shape.pattern.fullmatch(head)
            if match is not None:
                return _head(shape, match)
        read = read_response_head(head)
        if self._lessons < _MOST_LESSONS and len(head) <= _LONGEST_HEAD:
            self._learn(head, read)
        return read

    def _learn(self, head: bytes, read: ResponseHead) -> None:
        status, *rest = head.split(b"\r\n")
        lines = [_Line(raw, raw.partition(b":")[0], *judge_response_line(raw)) for raw in rest]
        names = [line.name for line in lines if line.name]
        if len(names) != len(set(names)) or any(
            line.name == b"connection" and line.value.lower() not in (b"close", b"keep-alive") for line in lines
        ):
            return  # a field made of two lines, or options that make other lines stay: rare, so not learnt
        self._lessons += 1
        varying = {index for index, line in enumerate(lines) if line.label.lower() in _ALWAYS_VARY}
        for known in self._shapes:
            if known.status != status or [line.label for line in known.lines] != [line.label for line in lines]:
                continue
            differing = {index for index, line in enumerate(lines) if line.raw != known.lines[index].raw}
            if not any(lines[index].label.lower() in _NEVER_VARY for index in differing):
                self._shapes.remove(known)
                varying |= known.varying | differing
                break
        self._shapes.insert(0, _shape(status, lines, frozenset(varying), read))
        del self._shapes[_MOST_SHAPES:]


def _head(shape: _Shape, match: re.Match[bytes]) -> ResponseHead:
    """The head that has matched the shape's pattern."""
    model, runs, fields = shape.model, shape.runs, shape.constants
    if shape.reads:
        fields = fields.copy()
        for name, group in shape.reads:
            fields[name] = match[group].strip(b" \t")
    return ResponseHead(
        model.status,
        model.line,
        fields,
        match[runs[0]] if len(runs) == 1 else b"".join([match[run] for run in runs]),
        int(match[shape.length]) if shape.length else model.content_length,
        model.is_chunked,
        model.keeps_alive,
        model.is_event_stream,
    )


def _shape(status: bytes, lines: Sequence[_Line], varying: frozenset[int], read: ResponseHead) -> _Shape:
    pattern = [re.escape(status)]
    reads: list[tuple[bytes, int]] = []
    runs: list[int] = []
    groups = length = 0
    is_in_run = False
    for index, line in enumerate(lines):
        if line.travels != is_in_run:
            is_in_run = line.travels
            pattern.append(b"(" if is_in_run else b")")
            if is_in_run:
                groups += 1
                runs.append(groups)
        value = re.escape(line.raw[len(line.label) + 1 :])
        if index in varying:
            value = _VALUE
            if line.name == _LENGTH:
                groups += 1
                length, value = groups, rb" ?([0-9]{1,15})"
            elif line.name:
                groups += 1
                reads.append((line.name, groups))
                value = b"(" + _VALUE + b")"
        pattern.append(rb"\r\n" + re.escape(line.label) + b":" + value)
    if is_in_run:
        pattern.append(b")")
    constants = {name: value for name, value in read.fields.items() if name not in dict(reads)}
    return _Shape(re.compile(b"".join(pattern)), status, lines, varying, read, constants, reads, runs, length)
