"""When a call ended, in the ways in which the shapes write it."""

from datetime import UTC, datetime, timedelta

from ....records import CallRecord

__all__ = ["ended_at", "naive", "with_seven_decimals"]


def ended_at(record: CallRecord) -> datetime:
    """Start and duration are what a record holds; the other systems' events carry the end."""
    return record.started_at.astimezone(UTC) + timedelta(milliseconds=record.latency_ms)


def naive(moment: datetime) -> str:
    """``2026-11-22T12:00:00.000001``: UTC, as Python's ``utcnow().isoformat()`` gives it, always with microseconds."""
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds")


def with_seven_decimals(moment: datetime) -> str:
    """``2026-11-22T12:00:00.0000010Z``: as .NET's round-trip format gives it."""
    return f"{naive(moment)}0Z"
