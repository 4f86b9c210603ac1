"""The reading half of a ledger, in the SQL that its engines have in common.

What they do not share, an engine brings along: how a value's place is marked, how to reach into a JSON column,
and of course the connection.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

from ..records import CONTENTS, CallRecord
from .grouping import conditions, quantities_statement, usage_rows, usage_statement
from .parsing import UTC_ZONE, as_utc, parse_timezone
from .rollups import Closed, rated_amounts, rated_quantities, whole_days
from .rows import CALL_COLUMNS, as_record, as_record_fields
from .seals import SEAL_COLUMNS, Seal, seal_of, sealed_columns

__all__ = ["Reading"]

_SELECTED = ", ".join(f"calls.{name}" for name in CALL_COLUMNS)


class Reading(ABC):
    """`Ledger.position`, ``calls``, ``call``, ``records_after``, ``count_of_run`` and ``usage``."""

    _mark: ClassVar[str]
    """What stands for a value in a statement."""
    _quantities: ClassVar[str]
    """As `DayDialect`."""
    _has_quantities: ClassVar[str]
    """As `DayDialect`."""
    _itemised: ClassVar[str]
    """As `LineDialect`."""

    @abstractmethod
    def _of_line(self, name: str) -> str:
        """As `LineDialect`."""

    @abstractmethod
    def _decimal(self, text: str) -> str:
        """As `LineDialect`."""

    _all_calls: ClassVar[str] = "calls"
    """Where every row is that was posted."""

    _renamed: Mapping[str, str] = {}

    def rename(self, callers: Mapping[str, str]) -> None:
        self._renamed = dict(callers)

    def _literal(self, text: str) -> str:
        """As `UsageDialect`."""
        return "'{}'".format(text.replace("\0", "\ufffd").replace("'", "''"))

    @abstractmethod
    def _read(self, statement: str, values: list[Any]) -> list[tuple[Any, ...]]:
        """All rows; times naive and in UTC, JSON as text."""

    @abstractmethod
    def _tag(self, name: str) -> str:
        """As `UsageDialect`."""

    @abstractmethod
    def _local(self, moment: str, timezone: str) -> str:
        """As `UsageDialect`."""

    def position(self, source: str) -> str | None:
        rows = self._read(f"SELECT position FROM positions WHERE source = {self._mark}", [source])
        return rows[0][0] if rows else None

    def calls(
        self,
        limit: int = 50,
        *,
        caller: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> list[dict[str, Any]]:
        where, values = self._where(since, until, None if caller is None else {"caller": caller})
        rows = self._read(
            f"SELECT {_SELECTED} FROM calls{where} ORDER BY started_at DESC, call_id DESC LIMIT {self._mark}",
            [*values, limit],
        )
        return [as_record_fields(CALL_COLUMNS, row) for row in rows]

    def call(self, call_id: str) -> dict[str, Any] | None:
        rows = self._read(
            f"SELECT {_SELECTED}, {', '.join(CONTENTS)} "
            f"FROM calls LEFT JOIN contents ON contents.call_id = calls.call_id WHERE calls.call_id = {self._mark}",
            [call_id],
        )
        return as_record_fields([*CALL_COLUMNS, *CONTENTS], rows[0]) if rows else None

    def records_after(self, call_id: str, limit: int) -> list[CallRecord]:
        rows = self._read(
            f"SELECT {_SELECTED}, {', '.join(CONTENTS)} FROM "
            f"(SELECT * FROM calls WHERE call_id > {self._mark} ORDER BY call_id LIMIT {self._mark}) AS calls "
            "LEFT JOIN contents ON contents.call_id = calls.call_id ORDER BY calls.call_id",
            [call_id, limit],
        )
        return [as_record([*CALL_COLUMNS, *CONTENTS], row) for row in rows]

    def count_of_run(self, replica: str, first: int, last: int) -> int:
        [[count]] = self._read(
            f"SELECT count(DISTINCT seq) FROM calls WHERE replica = {self._mark} "
            f"AND seq BETWEEN {self._mark} AND {self._mark}",
            [replica, first, last],
        )
        return int(count)

    def seals(self) -> list[Seal]:
        rows = self._read(f"SELECT {', '.join(SEAL_COLUMNS)} FROM seals ORDER BY seal, sealed_at", [])
        return [seal_of(row) for row in rows]

    def sealed_calls(self, seals: Sequence[int], format: int) -> list[tuple[int, dict[str, Any]]]:
        names = [column.name for column in sealed_columns(format)]
        rows = self._read(
            f"SELECT seal, {', '.join(names)} FROM {self._all_calls} "
            f"WHERE seal BETWEEN {self._mark} AND {self._mark} AND seal IN ({', '.join(map(str, seals))}) "
            "ORDER BY seal, call_id",
            [seals[0], seals[-1]],
        )
        return [(seal, as_record_fields(names, cells)) for seal, *cells in rows]

    def unsealed(self, since: datetime | None, until: datetime | None) -> int:
        where, values = self._where(since, until, None)
        unknown = "(seal IS NULL OR seal NOT IN (SELECT seal FROM seals))"
        [[count]] = self._read(f"SELECT count(*) FROM calls{where or ' WHERE true'} AND {unknown}", values)
        return int(count)

    def runs(self, since: datetime | None, until: datetime | None) -> list[tuple[str, int, int]]:
        where, values = self._where(since, until, None)
        rows = self._read(
            f"SELECT replica, min(seq), max(seq) FROM calls{where or ' WHERE true'} AND replica <> '' "
            "GROUP BY replica ORDER BY replica",
            values,
        )
        return [(replica, int(first), int(last)) for replica, first, last in rows]

    def _newest_seal(self) -> str | None:
        rows = self._read("SELECT digest FROM seals WHERE reason = 'posted' ORDER BY seal DESC LIMIT 1", [])
        return rows[0][0] if rows else None

    def usage(
        self,
        by: Sequence[str],
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        only: Mapping[str, str] | None = None,
        timezone: str = UTC_ZONE,
    ) -> list[dict[str, Any]]:
        groups = list(dict.fromkeys(by))
        if timezone != UTC_ZONE:  # to know all names takes as long as some questions
            parse_timezone(timezone)
        is_corrected = self._is_corrected()
        days = whole_days(self._closed(), groups, only or {}, timezone, since, until)
        if days is not None:
            where, values = self._where(None, None, only)
            amounts: str | None = days.usage(is_corrected=is_corrected)
            used = f"SELECT * FROM ({days.quantities(self, is_corrected=is_corrected)}) AS calls{where}"
        else:
            where, values = self._where(since, until, only)
            amounts = f"({rated_amounts()}) AS calls" if is_corrected else None
            used = f"{self._quantities}{where or ' WHERE true'} AND {self._has_quantities}"
            if is_corrected:
                used = f"SELECT * FROM ({rated_quantities(self)}) AS calls{where}"
        rows = self._read(usage_statement(groups, self, where, timezone, amounts), values)
        quantities = self._read(quantities_statement(groups, self, used, timezone), values)
        return usage_rows(groups, rows, quantities, timezone)

    def _is_corrected(self) -> bool:
        """Whether any call is rated otherwise than it was posted."""
        return bool(self._read("SELECT 1 FROM rating_runs LIMIT 1", []))

    def _closed(self) -> Closed:
        """Before when days have sums of their own, in an engine that keeps such."""
        return None

    def _where(
        self, since: datetime | None, until: datetime | None, only: Mapping[str, str] | None
    ) -> tuple[str, list[Any]]:
        """A WHERE clause, or nothing, and its values."""
        chosen: list[str] = []
        values: list[Any] = []
        for comparison, moment in (("started_at >=", since), ("started_at <", until)):
            if moment is not None:
                chosen.append(f"{comparison} {self._mark}")
                values.append(as_utc(moment).replace(tzinfo=None))
        for condition, of_it in conditions(only or {}, self, self._mark):
            chosen.append(condition)
            values += of_it
        return (f" WHERE {' AND '.join(chosen)}" if chosen else "", values)
