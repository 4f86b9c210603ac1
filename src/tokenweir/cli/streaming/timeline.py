"""A drawing of when output came: one line, time from left to right, higher where more came."""

from collections.abc import Sequence

__all__ = ["axis", "timeline"]

_BLOCKS = "▁▂▃▄▅▆▇█"
_ASCII = ".:-=+*#@"


def timeline(times: Sequence[float], until: float, width: int, *, ascii_only: bool = False) -> str:
    """``times`` within ``[0, until]`` in ``width`` columns: dots up to the first, a bar for each that holds some."""
    if not times or until <= 0:
        return ""
    counts = [0] * width
    for at in times:
        counts[_column(at, until, width)] += 1
    first, last = _column(times[0], until, width), _column(times[-1], until, width)
    levels = _ASCII if ascii_only else _BLOCKS
    most = max(counts)
    drawn = ["_" if ascii_only else "·"] * first
    for count in counts[first : last + 1]:
        drawn.append(levels[(count * len(levels) - 1) // most] if count else " ")
    return "".join(drawn)


def axis(first: float | None, until: float, width: int, label: str, end: str) -> str:
    """What stands below: a mark at ``first`` with its label, and the end's label at the right."""
    if first is None or until <= 0:
        return end.rjust(width)
    column = _column(first, until, width)
    mark = f"^ {label}"
    if column + len(mark) + 1 + len(end) > width:
        mark = f"{label} ^"
        column = max(0, column + 1 - len(mark))
    line = (" " * column + mark).ljust(width - len(end) - 1)
    return f"{line} {end}" if len(line) + len(end) < width + 1 else line


def _column(at: float, until: float, width: int) -> int:
    return min(width - 1, max(0, int(at / until * width)))
