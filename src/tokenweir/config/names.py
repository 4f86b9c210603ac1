"""The nearest known name to one that is not known."""

from collections.abc import Iterable

__all__ = ["nearest"]


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name a person most likely meant, or ``None`` if none is near.

    One slip of the finger in a short name, two in a longer one; capitals do not count.
    """
    allowed = 1 if len(name) < 6 else 2
    distance, best = min(((_slips(name.lower(), other.lower()), other) for other in known), default=(3, ""))
    return best if distance <= allowed else None


def _slips(a: str, b: str) -> int:
    """How many letters were changed, left out, added, or swapped with their neighbour."""
    rows = [list(range(len(b) + 1))]
    for i in range(1, len(a) + 1):
        rows.append([i])
        for j in range(1, len(b) + 1):
            changed = rows[i - 1][j - 1] + (a[i - 1] != b[j - 1])
            slips = min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, changed)
            if i > 1 and j > 1 and a[i - 1] == b[j - 2] and a[i - 2] == b[j - 1]:
                slips = min(slips, rows[i - 2][j - 2] + 1)
            rows[i].append(slips)
    return rows[-1][-1]
