"""When a target says that it can be asked again (RFC 9110, 10.2.3; Azure's and OpenAI's own headers). Pure."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

__all__ = ["seconds_to_wait"]

# The most exact first. Azure's reset is in seconds, OpenAI's like 6m0s or 20ms.
_TOLD = [
    re.compile(rb"\r\n" + name + rb":[ \t]*([ -~]+)", re.IGNORECASE)
    for name in (
        rb"retry-after-ms",
        rb"x-ms-retry-after-ms",
        rb"retry-after",
        rb"x-ratelimit-reset-requests",
        rb"x-ratelimit-reset-tokens",
    )
]
_DATE = re.compile(rb"\r\ndate:[ \t]*([ -~]+)", re.IGNORECASE)
_NUMBER = re.compile(rb"[0-9]{1,15}(?:\.[0-9]{1,9})?")
_PARTS = re.compile(
    rb"(?:([0-9]{1,6})d)?(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,6}(?:\.[0-9]{1,9})?)s)?(?:([0-9]{1,9})ms)?"
)
_PART_SECONDS = (86400.0, 3600.0, 60.0, 1.0, 0.001)


def seconds_to_wait(lines: bytes, now: datetime, *, resets: bool = True) -> float | None:
    """What the first of an answer's header lines tells that tells anything: ``retry-after-ms``, ``Retry-After`` in
    seconds or as a date, and with ``resets`` ``x-ratelimit-reset-*``. ``None`` where none does: it is missing, past,
    now, or makes no sense.

    A date is held against the answer's own ``Date``, so that neither clock need be right.
    """
    for number, pattern in enumerate(_TOLD if resets else _TOLD[:3]):
        told = pattern.search(lines)
        if told is None:
            continue
        value = told[1].strip()
        seconds = _read(value, lines, now)
        if number < 2:
            seconds /= 1000.0
        if seconds > 0.0:
            return seconds
    return None


def _read(value: bytes, lines: bytes, now: datetime) -> float:
    """0.0 for what cannot be read."""
    if _NUMBER.fullmatch(value):
        return float(value)
    parts = _PARTS.fullmatch(value)
    if parts is not None:
        return sum(float(part) * seconds for part, seconds in zip(parts.groups(), _PART_SECONDS, strict=True) if part)
    until = _date(value)
    if until is None:
        return 0.0
    said = _DATE.search(lines)
    since = _date(said[1]) if said is not None else None
    return (until - (since or now)).total_seconds()


def _date(value: bytes) -> datetime | None:
    try:
        date = parsedate_to_datetime(value.decode("ascii"))
        return date if date.tzinfo is not None else date.replace(tzinfo=UTC)
    except (ValueError, TypeError, OverflowError):
        return None
