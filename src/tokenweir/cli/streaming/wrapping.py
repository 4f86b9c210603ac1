"""Lines that fit a terminal: broken between words, and an address wider than a line at its joints only."""

import re

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

__all__ = ["fitted", "print_fitted"]

_WORD = re.compile(r"\s*\S+")
_JOINT = re.compile(r"(?<=[^/])(?=[/?&.])")
_NARROWEST = 20


def print_fitted(console: Console, text: Text, *, hang: int = 0) -> None:
    """On a terminal in as many lines as it takes, those after the first ``hang`` columns in. A file gets one line."""
    for line in fitted(text, console.width, hang) if console.is_terminal else [text]:
        console.print(line, soft_wrap=True)


def fitted(text: Text, width: int, hang: int = 0) -> list[Text]:
    """``text`` in lines of ``width`` columns. What has no place to break is longer, and left to the terminal."""
    room, used = width, 0
    hang = hang if width - hang >= _NARROWEST else 0
    breaks: list[int] = []
    for start, piece in _pieces(text.plain, width - hang):
        size = cell_len(piece)
        if used and used + size > room:
            breaks.append(start + len(piece) - len(piece.lstrip()))
            room, used, size = width - hang, 0, cell_len(piece.lstrip())
        used += size
    lines = list(text.divide(breaks))
    for line in lines:
        line.rstrip()
    return [lines[0], *(Text(" " * hang) + line for line in lines[1:])]


def _pieces(plain: str, room: int) -> list[tuple[int, str]]:
    """Where each word begins, with the blanks before it; one that no line holds, in parts."""
    pieces: list[tuple[int, str]] = []
    for found in _WORD.finditer(plain):
        at, word = found.start(), found[0]
        for part in _JOINT.split(word) if cell_len(word.lstrip()) > room else [word]:
            pieces.append((at, part))
            at += len(part)
    return pieces
