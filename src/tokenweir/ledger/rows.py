"""A `CallRecord` as a row of ``calls``, and back.

The way in is JSON text, one document per record, taken apart by the engine: binding fifty parameters per
row, as ``executemany`` does, is a hundred times slower.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from ..records import CONTENTS, CallRecord, without_contents

__all__ = [
    "COLUMNS",
    "CONTENT_COLUMNS",
    "DEFAULTS",
    "as_json",
    "as_record_fields",
    "contents_of",
    "json_encoder",
    "plain_money",
]

_FIELDS = {field.name: field for field in msgspec.structs.fields(CallRecord) if field.name not in CONTENTS}
COLUMNS = list(_FIELDS)
"""The columns of ``calls``: every field of a record but its contents."""
CONTENT_COLUMNS = ["call_id", *CONTENTS]
"""The columns of ``contents``."""

json_encoder = msgspec.json.Encoder()


def _default(field: msgspec.structs.FieldInfo) -> str | None:
    default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
    if default is msgspec.NODEFAULT or default is None:
        return None
    return default if isinstance(default, str) else json_encoder.encode(default).decode()


DEFAULTS = {name: text for name, field in _FIELDS.items() if (text := _default(field)) is not None}
"""What stands in a column where the record says nothing, as text: a record leaves out what has its default."""


def as_json(record: CallRecord) -> str:
    """The record as an engine takes it apart, which is without its contents."""
    return json_encoder.encode(without_contents(record)).decode()


def contents_of(record: CallRecord) -> tuple[str | None, ...]:
    """The row of ``contents``, all of it text."""
    trace = None if record.trace is None else json_encoder.encode(record.trace).decode()
    return record.call_id, record.request_body, record.response_body, trace


def as_record_fields(names: Iterable[str], row: Iterable[Any]) -> dict[str, Any]:
    """A row as a dictionary with the field names and types of `CallRecord`."""
    return {
        name: _READERS[name](cell) if cell is not None and name in _READERS else cell
        for name, cell in zip(names, row, strict=True)
    }


def plain_money(amount: Decimal) -> Decimal:
    """The same amount without the zeros that a column of twelve decimals puts behind it."""
    text = f"{amount:f}"
    return Decimal(text.rstrip("0").rstrip(".") if "." in text else text)


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC)


_READERS: dict[str, Callable[[Any], Any]] = {
    "started_at": _utc,
    "cost": plain_money,
    "tags": msgspec.json.decode,
    "usage": msgspec.json.decode,
    "tool_usage": msgspec.json.decode,
    "tool_calls": msgspec.json.decode,
    "finish_reasons": msgspec.json.decode,
    "trace": msgspec.json.decode,
}
