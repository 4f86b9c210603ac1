"""Seals: what a ledger was given is counted and hashed as it comes, so that a later change of it shows.

Every batch that is posted gets a seal: how many calls it brought, and a SHA-256 of them and of the seal before it. The
calls carry its number. Whoever changes, removes or adds calls afterwards has to change every seal from there on, and
then the newest one is no longer the one that somebody wrote down elsewhere.

Sealed is what a statement rests on. What says who a person was is not, so that people can be forgotten: where a caller
is forgotten its seals are made anew, which leaves a second row beside the first one.
"""

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import lru_cache
from hashlib import sha256
from operator import attrgetter
from typing import Any, Final

import msgspec

from ..records import COLUMNS, CONTENTS, CallRecord, Clock, Column, SystemClock
from .person import ABOUT_A_PERSON

__all__ = [
    "NEWEST_FORMAT",
    "SEAL_COLUMNS",
    "Seal",
    "Sealer",
    "creating_seals",
    "digest_of_records",
    "digest_of_rows",
    "seal_of",
    "seal_row",
    "sealed_columns",
]

_ENCODER = msgspec.json.Encoder(order="sorted", decimal_format="string")
_SMALLEST = Decimal("1E-12")
"""The last decimal that ledgers keep of money."""
_EXACT = Context(prec=100)

# Behind the microsecond, so that no other process makes the same.
_RANDOM_BITS = 10


class Seal(msgspec.Struct, frozen=True):
    """A row of ``seals``. Of one number there may be several: see ``reason``."""

    seal: int
    """The number that its calls carry; they ascend with time."""
    format: int
    """Which columns are sealed: those that were there by this step of the migrations."""
    previous: str
    """The digest of the seal before it; "" of the first one."""
    digest: str
    """Hex SHA-256 of ``previous`` and of the calls."""
    calls: int
    first_started: datetime
    last_started: datetime
    sealed_at: datetime
    reason: str = "posted"
    """``erased``: made anew, as somebody in it was forgotten. The calls have to agree with one row of their number, and
    the seals that follow name the first."""


SEAL_COLUMNS: Final = Seal.__struct_fields__


def creating_seals(text: str, moment: str) -> list[str]:
    """The statements that make the table and the column of ``calls``, given the engine's types."""
    types = {str: f"{text} NOT NULL", int: "bigint NOT NULL", datetime: f"{moment} NOT NULL"}
    columns = ", ".join(f"{field.name} {types[field.type]}" for field in msgspec.structs.fields(Seal))
    return [f"CREATE TABLE seals ({columns})", "ALTER TABLE calls ADD COLUMN seal bigint"]


def seal_row(seal: Seal) -> list[Any]:
    """Its cells; times naive and in UTC."""
    return [cell.replace(tzinfo=None) if isinstance(cell, datetime) else cell for cell in msgspec.structs.astuple(seal)]


def seal_of(row: Iterable[Any]) -> Seal:
    """What `seal_row` was made of."""
    cells: list[Any] = [cell.replace(tzinfo=UTC) if isinstance(cell, datetime) else cell for cell in row]
    return Seal(*cells)


# How fast something was is nothing that anybody pays for, and a time in floating point is not the same everywhere.
_LEFT_OUT: Final = ("milliseconds", "object", "trace")


@lru_cache
def sealed_columns(format: int) -> tuple[Column, ...]:
    """By their names, so that a field may move."""
    unsealed = (*ABOUT_A_PERSON, *CONTENTS)
    return tuple(
        sorted(
            (
                column
                for column in COLUMNS
                if column.since <= format and column.kind not in _LEFT_OUT and column.name not in unsealed
            ),
            key=lambda column: column.name,
        )
    )


NEWEST_FORMAT: Final = max(column.since for column in COLUMNS)

_NEWEST: Final = sealed_columns(NEWEST_FORMAT)
_values_of = attrgetter(*(column.path for column in _NEWEST))


def digest_of_records(previous: str, records: Iterable[CallRecord]) -> str:
    """Of records, in the order of their ids, by the newest format."""
    return _digest(previous, (list(_values_of(record)) for record in records), _NEWEST)


def digest_of_rows(previous: str, rows: Iterable[Mapping[str, Any]], format: int) -> str:
    """Of what a ledger has of them: values by the names of columns, with the types that a record has."""
    columns = sealed_columns(format)
    defaults = {column.name: column.default for column in columns if not column.is_required}
    found = (
        [defaults[column.name] if row[column.name] is None else row[column.name] for column in columns] for row in rows
    )
    return _digest(previous, found, columns)


def _digest(previous: str, calls: Iterable[list[Any]], columns: Sequence[Column]) -> str:
    """A line of JSON for each call, in which nothing depends on how an engine writes it."""
    money = [index for index, column in enumerate(columns) if column.kind == "money"]
    moments = [index for index, column in enumerate(columns) if column.kind == "moment"]
    lines = [previous.encode()]
    for values in calls:
        for index in money:
            amount = values[index]
            if amount is not None:
                values[index] = amount.quantize(_SMALLEST, ROUND_HALF_UP, _EXACT) if amount.is_finite() else None
        for index in moments:
            values[index] = values[index].astimezone(UTC)
        lines.append(_ENCODER.encode(values))
    return sha256(b"\n".join(lines)).hexdigest()


class Sealer:
    """Makes the seals of one poster. What is sealed counts once it was posted."""

    def __init__(self, newest: Callable[[], str | None], clock: Clock | None = None) -> None:
        """``newest`` reads the digest of the ledger's newest seal."""
        self._newest = newest
        self._clock = clock or SystemClock()
        self._previous: str | None = None
        self._last = 0

    def next_number(self) -> int:
        """For the next batch."""
        now = int(self._clock.now().timestamp() * 1_000_000)
        self._last = max(now << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS), self._last + 1)
        return self._last

    def seal(self, number: int, records: Sequence[CallRecord]) -> Seal:
        """Of the records of one batch, at least one."""
        if self._previous is None:
            self._previous = self._newest() or ""
        started = [record.started_at for record in records]
        return Seal(
            seal=number,
            format=NEWEST_FORMAT,
            previous=self._previous,
            digest=digest_of_records(self._previous, sorted(records, key=attrgetter("call_id"))),
            calls=len(records),
            first_started=min(started).astimezone(UTC),
            last_started=max(started).astimezone(UTC),
            sealed_at=self._clock.now(),
        )

    def posted(self, seal: Seal) -> None:
        """The ledger has it."""
        self._previous = seal.digest
