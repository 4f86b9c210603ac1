"""A place in a journal: a segment and a byte in it. Outside this room it is an opaque string."""

from typing import NamedTuple

from ..errors import JournalError, quoted

__all__ = ["START", "Position", "parse_position"]


class Position(NamedTuple):
    """Positions of one journal compare in the order of its records."""

    segment: int
    offset: int

    def text(self) -> str:
        return f"{self.segment:020d}:{self.offset}"


START = Position(0, 0)
"""Before the first record of any journal."""


def parse_position(text: str) -> Position:
    segment, _, offset = text.partition(":")
    if not (segment.isdecimal() and offset.isdecimal()):
        raise JournalError(f"{quoted(text)} is not a position in a journal; one looks like {Position(42, 8192).text()}")
    return Position(int(segment), int(offset))
