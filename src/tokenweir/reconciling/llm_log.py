"""API Management's own log of model calls (table ApiManagementGatewayLlmLog), as a query or an export gives it.

Entries are lines of JSON, or one list of them. Of a call's several entries, the one with the counts counts.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from ..errors import ConfigError
from .amounts import MeterName, Told

__all__ = ["read_llm_log"]

_METERS: Final[tuple[MeterName, MeterName]] = ("prompt", "output")


def read_llm_log(content: bytes) -> Iterator[Told]:
    """Raises ConfigError naming the line that cannot be read."""
    seen: set[str] = set()
    for number, entry in _entries(content):
        counts = [entry.get(name) for name in ("prompttokens", "completiontokens")]
        if not any(isinstance(count, int) for count in counts):
            continue
        call_id = str(entry.get("correlationid") or f"entry {number}")
        if call_id in seen:
            continue
        seen.add(call_id)
        told = entry.get("timegenerated") or entry.get("time")
        try:
            day = datetime.fromisoformat(str(told)).date()
        except ValueError:
            raise ConfigError(f"entry {number} has no TimeGenerated; give the log with all its columns") from None
        deployment, model = entry.get("deploymentname") or None, entry.get("modelname") or None
        yield Told(day, "calls", Decimal(1), deployment, model)
        for meter, count in zip(_METERS, counts, strict=True):
            if isinstance(count, int) and count:
                yield Told(day, meter, Decimal(count), deployment, model)


def _entries(content: bytes) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each with its number, names in lower case, with what an event hub puts under ``properties``."""
    try:
        whole = msgspec.json.decode(content)
        lines: Iterable[Any] = whole if isinstance(whole, list) else whole.get("records", [whole])
    except (msgspec.DecodeError, AttributeError):
        lines = _decoded(content)
    for number, line in enumerate(lines, start=1):
        if not isinstance(line, dict):
            raise ConfigError(f"entry {number} is no object; give the rows of ApiManagementGatewayLlmLog as JSON")
        entry = {name.lower(): value for name, value in line.items()}
        inner = entry.get("properties")
        yield (
            number,
            entry | ({name.lower(): value for name, value in inner.items()} if isinstance(inner, dict) else {}),
        )


def _decoded(content: bytes) -> Iterator[Any]:
    for number, line in enumerate(content.splitlines(), start=1):
        if line.strip():
            try:
                yield msgspec.json.decode(line)
            except msgspec.DecodeError as error:
                raise ConfigError(f"line {number} is no JSON ({error}); is the file cut off?") from None
