"""Calls for programs: a line of JSON for each thing that happened, flushed as it happens."""

import sys
from collections.abc import Sequence
from typing import Any

import msgspec

from ...stopwatch import (
    Capture,
    Finding,
    Measures,
    Moment,
    TimedEvent,
    call_report,
    difference,
    event_report,
    moment_report,
    spread_of,
)
from .view import Shows

__all__ = ["JsonLines"]

_SUMMED = ("first_byte", "first_token", "last_token", "ended", "tokens_per_second")


class JsonLines:
    """One call: ``began``, ``connected``, ``head``, ``event``…, ``call``. Many: a ``call`` each, then ``summary``."""

    def __init__(self, labels: Sequence[str], *, shows: Shows) -> None:
        self._labels = labels
        self._shows = shows if len(labels) == 1 else Shows(events=False)
        self._before: float | None = None
        self._measures: dict[str, list[Measures]] = {label: [] for label in labels}
        self._bad = dict.fromkeys(labels, 0)

    def moment(self, number: int, moment: Moment, events: list[TimedEvent]) -> None:
        if not self._shows.events:
            return
        if told := moment_report(moment):
            _print(told)
        for event in events:
            _print({**event_report(event, self._before), **self._raw(event)})
            self._before = event.at

    def call(self, number: int, capture: Capture, measures: Measures, findings: list[Finding]) -> None:
        label = self._labels[number]
        self._measures[label].append(measures)
        self._bad[label] += any(finding.weight == "bad" for finding in findings)
        _print({**call_report(capture, measures, findings), **self._whole(capture), "column": label})

    def close(self) -> None:
        if len(self._labels) > 1:
            columns = {
                label: {"calls": len(measures), "bad": self._bad[label], **_spreads(measures)}
                for label, measures in self._measures.items()
            }
            _print({"type": "summary", "columns": columns, **self._difference()})

    def _raw(self, event: TimedEvent) -> dict[str, str]:
        return {"raw": event.raw.decode(errors="replace")} if self._shows.raw else {}

    def _whole(self, capture: Capture) -> dict[str, str]:
        """What the model wrote, and the body of an answer that was none of events, where they are wanted."""
        told: dict[str, str] = {}
        if self._shows.text:
            told["text"] = "".join(event.frame.text for event in capture.events if event.frame.kind == "text")
        if self._shows.raw and not capture.events:
            told["raw"] = capture.body.decode(errors="replace")
        return told

    def _difference(self) -> dict[str, Any]:
        """Of the second column to the first, where there are two."""
        if len(self._measures) != 2:
            return {}
        first, second = self._measures.values()
        told = {name: difference(_all(first, name), _all(second, name)) for name in _SUMMED}
        return {"difference": {_key(name): _in_units(name, value) for name, value in told.items() if value}}


def _spreads(measures: list[Measures]) -> dict[str, Any]:
    spreads = {name: spread_of(_all(measures, name)) for name in _SUMMED}
    return {_key(name): _in_units(name, spread) for name, spread in spreads.items() if spread}


def _all(measures: list[Measures], name: str) -> list[float | None]:
    return [getattr(each, name) for each in measures]


def _key(name: str) -> str:
    return name if name == "tokens_per_second" else f"{name}_ms"


def _in_units(name: str, told: msgspec.Struct) -> dict[str, Any]:
    """Seconds as milliseconds; counts and answers stay."""
    factor = 1 if name == "tokens_per_second" else 1000
    values = msgspec.structs.asdict(told)
    return {name: round(value * factor, 3) if isinstance(value, float) else value for name, value in values.items()}


def _print(value: Any) -> None:
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    sys.stdout.flush()
