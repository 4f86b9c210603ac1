"""What a ledger forgets: contents after their terms, and who somebody was. Amounts stay.

The SQL that the engines have in common; how rows are changed, an engine brings along (`_change`).
"""

from abc import abstractmethod
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from .parsing import as_utc
from .person import Person
from .reading import Reading
from .rollups import DAILY_TABLES, in_sums

__all__ = ["Upkeep", "change_statement"]


class Upkeep(Reading):
    """`Ledger.expire` and ``erase``."""

    @abstractmethod
    def _change(self, table: str, sets: Mapping[str, str | None] | None, condition: str, values: list[Any]) -> None:
        """Gives rows of ``calls`` or ``contents`` these values, or removes them where none are given."""

    def expire(self, contents_before: datetime | None, traces_before: datetime | None) -> int:
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

    def erase(self, person: Person) -> int:
        marks = ", ".join([self._mark] * len(person.names))
        condition = f"{person.column} IN ({marks})"
        [[found]] = self._read(f"SELECT count(*) FROM calls WHERE {condition}", [*person.names])
        if found:
            ids = f"SELECT call_id FROM calls WHERE {condition}"
            self._change("contents", None, f"call_id IN ({ids})", [*person.names])
            # First the sums of days: who asks again because it failed finds the calls still there.
            if (of_days := in_sums(person.forgotten)) and self._closed() is not None:
                for table in DAILY_TABLES:
                    self._change(table, of_days, condition, [*person.names])
            self._change("calls", person.forgotten, condition, [*person.names])
        return int(found)


def change_statement(
    table: str, sets: Mapping[str, str | None] | None, condition: str, values: list[Any], mark: str
) -> tuple[str, list[Any]]:
    """An UPDATE, or a DELETE where nothing is set, and its values."""
    if sets is None:
        return f"DELETE FROM {table} WHERE {condition}", values
    changes = ", ".join(f"{name} = {mark}" for name in sets)
    return f"UPDATE {table} SET {changes} WHERE {condition}", [*sets.values(), *values]
