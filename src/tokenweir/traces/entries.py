"""A trace in the shape of API Management's ``listTrace``: entries by section, each with its source and its time."""

from datetime import UTC, datetime, timedelta
from typing import Any

from ..records import CallRecord
from .steps import steps_of

__all__ = ["trace_entries"]


def trace_entries(record: CallRecord) -> dict[str, list[dict[str, Any]]]:
    """``inbound``, ``backend`` and ``outbound``, in the order in which things happened."""
    entries: dict[str, list[dict[str, Any]]] = {"inbound": [], "backend": [], "outbound": []}
    for step in steps_of(record):
        entries[step.section].append(
            {
                "source": step.source,
                "timestamp": _timestamp(record.started_at, step.at_ms),
                "elapsed": _elapsed(step.at_ms),
                "data": {"message": step.message, **step.data},
            }
        )
    return entries


def _timestamp(started_at: datetime, after_ms: float) -> str:
    """Seven decimals, as .NET writes them; the last one is below what we measure."""
    moment = started_at.astimezone(UTC) + timedelta(milliseconds=after_ms)
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}0Z"


def _elapsed(milliseconds: float) -> str:
    """``hh:mm:ss.fffffff`` since the call came."""
    microseconds = round(milliseconds * 1000)
    seconds, fraction = divmod(microseconds, 1_000_000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}.{fraction:06}0"
