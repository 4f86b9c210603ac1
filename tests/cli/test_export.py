"""Files with all rows of an answer: whole or not there."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tokenweir.cli.export import export
from tokenweir.errors import QueryError, TokenweirError
from tokenweir.ledger import Piece

COLUMNS = ['n "x"', "when", "cost", "share", "tags", "is_stream"]
ROWS: list[list[Any]] = [
    [1, "2026-03-01T12:00:00.123456Z", "0.000000000001", 0.5, {"a": "b"}, True],
    [2**62, None, None, None, None, None],
    [3, "2026-03-01T12:00:00.000000Z", "12345678901234567890.5", 2, {}, False],
]


def pieces() -> Iterator[Piece]:
    for row in ROWS:
        yield Piece(COLUMNS, ["plain", "moment", "decimal", "plain", "plain", "plain"], [row])


def test_csv_and_json_read_back(tmp_path: Path) -> None:
    export(pieces(), "csv", tmp_path / "a.csv")
    with (tmp_path / "a.csv").open() as file:
        read = list(csv.reader(file))
    assert read[0] == COLUMNS
    assert read[1] == ["1", "2026-03-01T12:00:00.123456Z", "0.000000000001", "0.5", '{"a":"b"}', "true"]
    export(pieces(), "json", tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text()) == [dict(zip(COLUMNS, row, strict=True)) for row in ROWS]


def test_parquet_has_exact_types(tmp_path: Path) -> None:
    export(pieces(), "parquet", tmp_path / "it's.parquet")
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    answer = connection.sql(f"FROM '{tmp_path}/it''s.parquet'")
    types = ["BIGINT", "TIMESTAMP WITH TIME ZONE", "DECIMAL(38,12)", "DOUBLE", "VARCHAR", "BOOLEAN"]
    assert (answer.columns, [str(kind) for kind in answer.types]) == (COLUMNS, types)
    rows = answer.project("#1, #2::VARCHAR, #3::VARCHAR, #4, #5, #6").fetchall()
    assert rows[0] == (1, "2026-03-01 12:00:00.123456+00", "0.000000000001", 0.5, '{"a":"b"}', True)
    assert rows[1] == (2**62, None, None, None, None, None)


@pytest.mark.parametrize("format", ["csv", "json", "parquet"])
def test_no_rows_are_a_file_too(tmp_path: Path, format: Any) -> None:
    export(iter([Piece(["a", "b"], ["plain", "moment"], [])]), format, tmp_path / "file")
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
    if format == "json":
        assert json.loads((tmp_path / "file").read_text()) == []


@pytest.mark.parametrize("format", ["csv", "json", "parquet"])
def test_an_answer_that_breaks_off_leaves_the_file_that_was_there(tmp_path: Path, format: Any) -> None:
    def broken() -> Iterator[Piece]:
        yield from pieces()
        raise QueryError("it took too long")

    (tmp_path / "file").write_text("before")
    with pytest.raises(QueryError):
        export(broken(), format, tmp_path / "file")
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("file", "before")]


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(TokenweirError, match=r"nosuch/a.csv cannot be written: No such file"):
        export(pieces(), "csv", tmp_path / "nosuch/a.csv")
