"""The ledger in ClickHouse: the statements that fill it. Any number of processes may post at once.

A batch is three inserts: contents, calls, position, in this order. Whoever dies in between posts again from the old
position, and what is there already is left out; what slips through is never counted twice (`migrations`).
"""

import operator
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from decimal import Context, Decimal
from functools import partial
from typing import Any

import msgspec

from ...records import COLUMNS, CallRecord, has_contents
from ..accounts import Accounts
from ..base import Piece, Table
from ..corrections import RatingRun, take_number
from ..kql import KqlOverCopies
from ..limits import Limits
from ..parsing import as_utc
from ..queries import Answering, Queries, TwoSandboxes, unchanging
from ..rows import CONTENT_COLUMNS, as_json, contents_of, json_encoder
from ..seals import Sealer
from ..storable import INT64, MONEY_END, storable
from .address import ClickHouseAddress
from .copying import copy_calls
from .lines import ClickHouseLines
from .sandbox import ClickHouseSandbox
from .server import ClickHouseDatabase, ResultSet

__all__ = ["ClickHouseLedger"]

# One literal for all ids: as a list of literals, five thousand of them take the parser 50 ms.
_KNOWN = "SELECT call_id FROM posted_calls WHERE call_id IN (SELECT arrayJoin(JSONExtract({ids}, 'Array(String)')))"
_SMALLEST = Decimal("1E-12")
"""The last decimal of a cost. Those beyond it are rounded here: the server would cut them off."""
_EXACT = Context(prec=40)

_whole_numbers = operator.attrgetter(*(column.path for column in COLUMNS if column.kind == "count"))


class ClickHouseLedger(ClickHouseLines, Accounts):
    """A `Ledger` in a database that others may share, whose connections it closes."""

    _mark = "%s"
    _quantities = (
        "SELECT *, arrayJoin(JSONExtractKeys(quantities)) AS quantity, "
        "trim(BOTH '\"' FROM JSONExtractRaw(quantities, quantity, 'amount')) AS told, "
        "toDecimal128OrNull(told, 12) AS amount FROM calls"
    )
    _has_quantities = "quantities <> '{}'"
    _tags_text = "replaceAll(toJSONString(tags), '\\\\/', '/')"
    _corrections_table = "corrections"
    _statements_table = "statement_rows"

    _all_calls = "posted_calls"

    def __init__(self, server: ClickHouseDatabase, limits: Limits | None = None) -> None:
        self._server = server
        self._sealer = Sealer(self._newest_seal)
        self._queries = Queries(unchanging(partial(_answering, server.address)), limits or Limits())

    def __repr__(self) -> str:
        return f"<ClickHouseLedger {self._server.place}>"

    def __str__(self) -> str:
        """For a person."""
        return f"ClickHouse at {self._server.place}"

    def post(self, records: Sequence[CallRecord], source: str, position: str | None) -> int:
        batch = {record.call_id: record for record in records}
        known = self._known(batch)
        fresh = [_as_it_fits(record) for call_id, record in batch.items() if call_id not in known]
        if kept := [record for record in fresh if has_contents(record)]:
            self._server.insert("posted_contents", _lines(_content(record) for record in kept))
        if fresh:
            seal = self._sealer.seal(self._sealer.next_number(), fresh)
            sealed = f',"seal":{seal.seal}}}'
            self._server.insert("posted_calls", "\n".join(as_json(record)[:-1] + sealed for record in fresh).encode())
            self._write("seals", [msgspec.structs.asdict(seal)])
            self._sealer.posted(seal)
        if position is not None:
            self._server.insert("posted_positions", _lines([{"source": source, "position": position}]))
        return len(fresh)

    def _known(self, call_ids: Iterable[str]) -> set[str]:
        ids = json_encoder.encode(list(call_ids)).decode()
        if ids == "[]":
            return set()
        with self._server.failing():
            return {call_id for (call_id,) in self._server.ask(_KNOWN.format(ids=_literal(ids))).data}

    def query_sql(self, text: str) -> Table:
        return self._queries.sql(text)

    def query_kql(self, text: str) -> Table:
        return self._queries.kql(text)

    def all_rows(self, language: str, text: str) -> Generator[Piece]:
        return self._queries.all_rows(language, text)

    def close(self) -> None:
        self._server.close()

    def _change(self, table: str, sets: Mapping[str, str | None] | None, condition: str, values: list[Any]) -> None:
        """A mutation, which rewrites the parts of the table that have such rows; it is done when this returns."""
        changes = [f"{name} = {'NULL' if value is None else self._mark}" for name, value in (sets or {}).items()]
        what = f"UPDATE {', '.join(changes)}" if changes else "DELETE"
        given = [value for value in (sets or {}).values() if value is not None] + values
        marks = tuple(f"{{value_{n}:{_type(value)}}}" for n, value in enumerate(given))
        statement = f"ALTER TABLE posted_{table} {what} WHERE {condition} SETTINGS mutations_sync = 2" % marks
        with self._server.failing():
            self._server.execute(statement, {f"value_{n}": str(value) for n, value in enumerate(given)})

    def _write(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        self._server.insert(table, json_encoder.encode_lines(rows))

    def book_run(self, run: RatingRun) -> None:
        """Two that are booked at the same moment have the same number, of which one row is kept: never both count."""
        take_number(run, self._read("SELECT max(number) FROM rating_runs", [])[0])
        self._write("posted_rating_runs", [msgspec.structs.asdict(run)])
        take_number(
            run, (run.number - 1,) if self._read("SELECT 1 FROM rating_runs WHERE run_id = %s", [run.run_id]) else None
        )

    def lines_between(self, since: datetime, until: datetime) -> int:
        """Calls do as well, and are there without their JSON being read."""
        among = f"started_at >= {self._moment_literal(since)} AND started_at < {self._moment_literal(until)}"
        return int(self._read(f"SELECT count(*) FROM calls WHERE {among}", [])[0][0])

    def _moment_literal(self, moment: datetime) -> str:
        return f"toDateTime64('{as_utc(moment):%Y-%m-%d %H:%M:%S.%f}', 6, 'UTC')"

    def _read(self, statement: str, values: list[Any]) -> list[tuple[Any, ...]]:
        marks = tuple(f"{{value_{n}:{_type(value)}}}" for n, value in enumerate(values))
        given = {f"value_{n}": str(value) for n, value in enumerate(values)}
        with self._server.failing():
            return _rows(self._server.ask(statement % marks, given))

    def _tag(self, name: str) -> str:
        literal = self._literal(name)
        return f"if(mapContains(tags, {literal}), tags[{literal}], NULL)"

    def _literal(self, text: str) -> str:
        # Written in hexadecimal, no name can mean anything to the server, to the client, or to `_read`.
        return "'{}'".format("".join(f"\\x{byte:02x}" for byte in text.encode()))

    def _local(self, moment: str, timezone: str) -> str:
        # A time of another zone would be given out in UTC again.
        return f"addSeconds({moment}, timezoneOffset(toTimeZone({moment}, '{timezone}')))"


@contextmanager
def _answering(address: ClickHouseAddress, limits: Limits) -> Iterator[Answering]:
    with closing(ClickHouseDatabase(address)) as server:
        yield TwoSandboxes(ClickHouseSandbox(server, limits), KqlOverCopies(partial(copy_calls, server), limits))


def _as_it_fits(record: CallRecord) -> CallRecord:
    """A whole number that is too large would be taken in as another one, and nobody would be told."""
    cost = record.cost
    if any(number is not None and number not in INT64 for number in _whole_numbers(record)) or not _is_money(cost):
        return storable(record, "ClickHouse", supports_nul=True)
    if cost is not None and int(cost.as_tuple().exponent) < -12:
        return msgspec.structs.replace(record, cost=cost.quantize(_SMALLEST, context=_EXACT))
    return record


def _is_money(cost: Decimal | None) -> bool:
    return cost is None or (cost.is_finite() and abs(cost) < MONEY_END)


def _content(record: CallRecord) -> dict[str, str | None]:
    return dict(zip(CONTENT_COLUMNS, contents_of(record), strict=True))


def _lines(rows: Iterable[dict[str, Any]]) -> bytes:
    return json_encoder.encode_lines(list(rows))


def _literal(text: str) -> str:
    return "'{}'".format(text.replace("\\", "\\\\").replace("'", "\\'"))


def _type(value: Any) -> str:
    """What the server is to take a value for, which is sent as text."""
    match value:
        case int():
            return "Int64"
        case datetime():
            return "DateTime64(6, 'UTC')"
    return "String"


def _rows(answer: ResultSet) -> list[tuple[Any, ...]]:
    """As the other engines give them: times naive and in UTC, JSON as text."""
    readers = [_READERS.get(column.kind.partition("(")[0]) for column in answer.meta]
    return [
        tuple(cell if cell is None or read is None else read(cell) for read, cell in zip(readers, row, strict=True))
        for row in answer.data
    ]


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=None)


def _as_text(value: Any) -> str:
    return json_encoder.encode(value).decode()


_READERS = {
    **dict.fromkeys(["DateTime", "DateTime64", "Date", "Date32"], _moment),
    **dict.fromkeys(["Map", "Array"], _as_text),
    "Decimal": Decimal,
    "Float64": float,  # a whole one comes without its point
}
