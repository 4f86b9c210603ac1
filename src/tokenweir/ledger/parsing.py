"""What people type: moments (``7d`` ago, ``2026-11-01``, or a full ISO 8601 time), and names, which may be slips."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, available_timezones

from ..errors import QueryError, nearest, quoted
from ..records import Duration

__all__ = ["UTC_ZONE", "as_utc", "parse_moment", "parse_month", "parse_timezone", "unknown_name"]

UTC_ZONE = "UTC"

_MONTH = re.compile(r"(\d{4})-(\d\d)")


def parse_timezone(name: str) -> ZoneInfo:
    """A zone of the IANA database, by its exact name. Engines are given no other names than those that are in it."""
    known = available_timezones()
    if name in known:
        return ZoneInfo(name)
    if not known:
        raise QueryError("this machine knows no time zones; install them: pip install tzdata")
    meant = nearest(name, known)
    hint = f"did you mean {quoted(meant)}?" if meant else "write it like Europe/Berlin"
    raise QueryError(f"time zone {quoted(name[:60])} is unknown; {hint}")


def parse_month(text: str, now: datetime, zone: tzinfo = UTC) -> tuple[datetime, datetime]:
    """When a month of this zone begins, and the next one: ``last`` and ``this`` as ``now`` falls, or like 2026-10."""
    today = now.astimezone(zone)
    match text.strip(), _MONTH.fullmatch(text.strip()):
        case "this", _:
            month = today.year * 12 + today.month - 1
        case "last", _:
            month = today.year * 12 + today.month - 2
        case _, re.Match() as found if 1 <= int(found[2]) <= 12 and 1 < int(found[1]) < 9999:
            month = int(found[1]) * 12 + int(found[2]) - 1
        case _:
            raise QueryError(f"{quoted(text[:20])} is not a month; write last, this, or one like 2026-10")
    first, after = (datetime(number // 12, number % 12 + 1, 1, tzinfo=zone) for number in (month, month + 1))
    return first.astimezone(UTC), after.astimezone(UTC)


def parse_moment(text: str, now: datetime, zone: tzinfo = UTC) -> datetime:
    """An aware UTC moment. A duration counts back from ``now``; text without an offset is of the zone."""
    try:
        return now.astimezone(UTC) - timedelta(seconds=Duration.parse(text))
    except ValueError:
        pass
    except OverflowError:
        raise QueryError(f"{quoted(text)} ago is before the beginning of the calendar") from None
    try:
        moment = datetime.fromisoformat(text.strip())
        return as_utc(moment if moment.tzinfo else moment.replace(tzinfo=zone))
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
