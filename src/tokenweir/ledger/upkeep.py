"""What a ledger forgets: contents after their terms, and who somebody was. Amounts stay.

The SQL that the engines have in common; how rows are changed, an engine brings along (`_change`).
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from ..records import CallRecord
from .parsing import as_utc
from .person import Person
from .reading import Reading
from .rollups import DAILY_TABLES, in_sums
from .seals import Seal, digest_of_rows
from .verifying import Verification, calls_by_seal, verify

__all__ = ["Upkeep", "change_statement"]

EXPIRED = "retention"
"""The source whose position is the moment before which calls were removed."""


class Upkeep(Reading):
    """`Ledger.expire`, ``expired`` and ``erase``."""

    @abstractmethod
    def _change(self, table: str, sets: Mapping[str, str | None] | None, condition: str, values: list[Any]) -> None:
        """Gives rows of ``calls`` or ``contents`` these values, or removes them where none are given."""

    @abstractmethod
    def _write(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Adds rows, at least one, all with the same columns, all of them or none. Cells are texts, whole numbers,
        decimals, aware times or NULL."""

    @abstractmethod
    def post(self, records: Sequence[CallRecord], source: str, position: str | None) -> int:
        """As `Ledger`."""

    def expire(
        self,
        contents_before: datetime | None,
        traces_before: datetime | None,
        calls_before: datetime | None = None,
    ) -> int:
        count = self._expire_contents(contents_before, traces_before)
        closed = self._closed()
        if calls_before is None or closed is None:
            return count
        before = min(closed, as_utc(calls_before).replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0))
        [[found]] = self._read(f"SELECT count(*) FROM calls WHERE started_at < {self._mark}", [before])
        if found:
            # First, so that none of them is taken for new when it is brought again.
            self.post([], EXPIRED, before.replace(tzinfo=UTC).isoformat())
            ids = f"SELECT call_id FROM calls WHERE started_at < {self._mark}"
            self._change("contents", None, f"call_id IN ({ids})", [before])
            self._change("calls", None, f"started_at < {self._mark}", [before])
        return count + int(found)

    def expired(self) -> datetime | None:
        position = self.position(EXPIRED)
        return None if position is None else datetime.fromisoformat(position)

    def _expire_contents(self, contents_before: datetime | None, traces_before: datetime | None) -> int:
        old = f"call_id IN (SELECT call_id FROM calls WHERE started_at < {self._mark})"
        count = 0
        for columns, before in (
            (("request_body", "response_body"), contents_before),
            (("trace",), traces_before),
        ):
            if before is None:
                continue
            has_any = " OR ".join(f"{column} IS NOT NULL" for column in columns)
            condition, values = f"({has_any}) AND {old}", [as_utc(before).replace(tzinfo=None)]
            [[found]] = self._read(f"SELECT count(*) FROM contents WHERE {condition}", values)
            if found:
                self._change("contents", dict.fromkeys(columns), condition, values)
                count += int(found)
        if count:
            self._change("contents", None, "request_body IS NULL AND response_body IS NULL AND trace IS NULL", [])
        return count

    def verify(
        self, since: datetime | None = None, until: datetime | None = None, head: str | None = None
    ) -> Verification:
        return verify(self, since, until, head)

    def erase(self, person: Person) -> int:
        marks = ", ".join([self._mark] * len(person.names))
        condition = f"{person.column} IN ({marks})"
        [[found]] = self._read(f"SELECT count(*) FROM calls WHERE {condition}", [*person.names])
        # Also where their calls have been removed for their age.
        if (of_days := in_sums(person.forgotten)) and self._closed() is not None:
            for table in DAILY_TABLES:
                self._change(table, of_days, condition, [*person.names])
        if found:
            ids = f"SELECT call_id FROM calls WHERE {condition}"
            self._change("contents", None, f"call_id IN ({ids})", [*person.names])
            if person.column == "caller":
                self._seal_anew(person, condition)
            self._change("calls", person.forgotten, condition, [*person.names])
        return int(found)

    def _seal_anew(self, person: Person, condition: str) -> None:
        """The seals of calls that are about to be changed, as they will be. Done again, it changes nothing."""
        of_them = f"SELECT DISTINCT seal FROM calls WHERE {condition} AND seal IS NOT NULL"
        numbers = {number for (number,) in self._read(of_them, [*person.names])}
        wanted = [seal for seal in self.seals() if seal.seal in numbers and seal.reason == "posted"]
        now = datetime.now(UTC)
        anew: list[Seal] = []
        for seal, calls in calls_by_seal(self, wanted):
            for call in calls:
                if call[person.column] in person.names:
                    call.update({name: value for name, value in person.forgotten.items() if name in call})
            digest = digest_of_rows(seal.previous, calls, seal.format)
            anew.append(msgspec.structs.replace(seal, digest=digest, sealed_at=now, reason="erased"))
        if anew:
            self._write("seals", [msgspec.structs.asdict(seal) for seal in anew])


def change_statement(
    table: str, sets: Mapping[str, str | None] | None, condition: str, values: list[Any], mark: str
) -> tuple[str, list[Any]]:
    """An UPDATE, or a DELETE where nothing is set, and its values."""
    if sets is None:
        return f"DELETE FROM {table} WHERE {condition}", values
    changes = ", ".join(f"{name} = {mark}" for name in sets)
    return f"UPDATE {table} SET {changes} WHERE {condition}", [*sets.values(), *values]
