"""A drawing of when output came: one line, time from left to right, higher where more came."""

from collections.abc import Sequence

__all__ = ["axis", "timeline"]

_BLOCKS = "▁▂▃▄▅▆▇█"


def timeline(times: Sequence[float], until: float, width: int) -> str:
    """``times`` within ``[0, until]`` in ``width`` columns: dots up to the first, a bar for each that holds some."""
    if not times or until <= 0:
        return ""
    counts = [0] * width
    for at in times:
        counts[_column(at, until, width)] += 1
    first, last = _column(times[0], until, width), _column(times[-1], until, width)
    most = max(counts)
    drawn = ["·"] * first
    for count in counts[first : last + 1]:
        drawn.append(_BLOCKS[(count * len(_BLOCKS) - 1) // most] if count else " ")
    return "".join(drawn)


def axis(first: float, until: float, width: int, label: str, end: str) -> str:
    """What stands below: a mark under ``first`` with its label beside it, and the end's label at the right."""
    column = _column(first, until, width)
    mark = f"^ {label}"
    room = width - len(end) - 1
    if column + len(mark) > room:
        mark = f"{label} ^"
        column = max(0, min(column + 1, room) - len(mark))
    return f"{(' ' * column + mark).ljust(room)} {end}"


def _column(at: float, until: float, width: int) -> int:
    return min(width - 1, max(0, int(at / until * width)))
