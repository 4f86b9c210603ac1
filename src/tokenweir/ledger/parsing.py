"""What people type: moments (``7d`` ago, ``2026-11-01``, or a full ISO 8601 time), and names, which may be slips."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from ..errors import QueryError, nearest, quoted
from ..records import Duration

__all__ = ["as_utc", "parse_moment", "unknown_name"]


def parse_moment(text: str, now: datetime) -> datetime:
    """An aware UTC moment. A duration counts back from ``now``; text without an offset is UTC."""
    try:
        return now.astimezone(UTC) - timedelta(seconds=Duration.parse(text))
    except ValueError:
        pass
    except OverflowError:
        raise QueryError(f"{quoted(text)} ago is before the beginning of the calendar") from None
    try:
        moment = datetime.fromisoformat(text.strip())
        return as_utc(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        raise QueryError(
            f"{quoted(text)} is not a moment; write how long ago (90m, 24h, 7d), a date (2026-11-01) "
            "or a time (2026-11-01T08:30:00Z)"
        ) from None


def as_utc(moment: datetime) -> datetime:
    """The same moment in UTC. Naive ones are refused, because nobody can say which moment they are."""
    if moment.tzinfo is None:
        raise QueryError(f"{moment} has no time zone")
    return moment.astimezone(UTC)


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """A sentence for whoever typed it: the nearest known name first, then all of them."""
    names = list(known)
    meant = nearest(name, names)
    hint = f"did you mean {quoted(meant)}? " if meant else ""
    return f"{kind} {quoted(name)} is unknown; {hint}known: {', '.join(names)}"
