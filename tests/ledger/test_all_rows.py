"""All rows of an answer, piece by piece, where a table shows only the first."""

from collections.abc import Callable, Generator
from decimal import Decimal

import pytest

from tokenweir.errors import QueryError
from tokenweir.ledger import Ledger, Piece
from tokenweir.records import CallRecord

MakeCall = Callable[..., CallRecord]

_ROWS = 20_001
NUMBERS = {
    "duckdb": f"SELECT range AS n FROM range({_ROWS}) ORDER BY n DESC -- all",
    "postgres": f"SELECT n FROM generate_series(0, {_ROWS - 1}) AS n ORDER BY n DESC -- all",
    "clickhouse": f"SELECT number AS n FROM numbers({_ROWS}) ORDER BY n DESC -- all",
}


@pytest.fixture
def numbers(engine: object) -> str:
    return NUMBERS[engine.name]  # type: ignore[attr-defined]


def test_every_row_comes_once_in_its_order_and_no_piece_is_large(ledger: Ledger, numbers: str) -> None:
    pieces = list(ledger.all_rows("sql", numbers))
    assert [row for piece in pieces for row in piece.rows] == [[n] for n in range(_ROWS - 1, -1, -1)]
    assert max(len(piece.rows) for piece in pieces) == 10_000
    assert {tuple(piece.columns) for piece in pieces} == {("n",)}


def test_cells_are_as_in_a_table_and_columns_say_which_texts_are_times_and_decimals(
    ledger: Ledger, make_call: MakeCall
) -> None:
    ledger.post([make_call(tags={"a": "b"}, cost=Decimal(1), currency="EUR")], "relay-1", "1")
    asked = "SELECT call_id, started_at, cost, tags FROM calls"
    (piece,) = ledger.all_rows("sql", asked)
    assert piece.rows == ledger.query_sql(asked).rows
    assert piece.kinds == ["plain", "moment", "decimal", "plain"]
    (piece,) = ledger.all_rows("kql", "calls | project call_id, started_at")
    assert piece.kinds == ["plain", "moment"]


def test_an_answer_without_rows_has_its_columns(ledger: Ledger) -> None:
    (piece,) = ledger.all_rows("sql", "SELECT call_id FROM calls")
    assert (piece.columns, piece.rows) == (["call_id"], [])


def test_a_query_that_is_wrong_says_so(ledger: Ledger) -> None:
    with pytest.raises(QueryError):
        next(ledger.all_rows("sql", "DELETE FROM calls"))


def test_who_stops_reading_gives_the_place_back(ledger: Ledger, numbers: str) -> None:
    begun: list[Generator[Piece]] = [ledger.all_rows("sql", numbers) for _ in range(2)]
    for pieces in begun:
        next(pieces)
        pieces.close()
    assert len(ledger.query_sql(numbers).rows) == 10_000
