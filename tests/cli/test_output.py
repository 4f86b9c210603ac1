"""The same rows for people, programs and spreadsheets; money is never rounded."""

import csv
import io
import json
from decimal import Decimal
from typing import Any

import pytest

from tokenweir.cli.output import print_rows
from tokenweir.cli.totals import shown_cost, total_rows
from tokenweir.ledger import SUMS

COLUMNS = ["caller", "tokens", "cost", "tags", "gone"]
ROWS = [
    ["team-a", 1234567, "0.000012300001", {"b": "c"}, None],
    ['=cmd, "x"', 5, "1000000000000.10", {}, True],
]


def test_json_is_a_list_of_objects_with_money_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(COLUMNS, ROWS, "json")
    assert json.loads(capsys.readouterr().out) == [dict(zip(COLUMNS, row, strict=True)) for row in ROWS]


def test_csv_reads_back(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(COLUMNS, ROWS, "csv")
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert rows == [
        COLUMNS,
        ["team-a", "1234567", "0.000012300001", '{"b":"c"}', ""],
        ['=cmd, "x"', "5", "1000000000000.10", "{}", "true"],
    ]


def test_a_table_in_a_pipe_is_not_cut_and_sets_thousands_apart(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(["name", *COLUMNS], [["x" * 300, *ROWS[0]]], "table")
    lines = capsys.readouterr().out.splitlines()
    row = next(line for line in lines if line.startswith("xxx"))
    assert row.split() == ["x" * 300, "team-a", "1,234,567", "0.000012300001", "b=c"]


def test_totals_stand_under_a_table_and_nowhere_else(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(["caller", "cost"], [["a", "1.5"], ["b", None]], "table", [[None, "1.5"]])
    assert capsys.readouterr().out.splitlines() == [
        "caller  cost",
        "────────────",
        "a        1.5",
        "b",
        "────────────",
        "         1.5",
    ]
    print_rows(["caller"], [["a"]], "csv", [["total"]])
    assert capsys.readouterr().out == "caller\na\n"


def test_amounts_are_added_by_currency_and_what_has_no_price_is_said_to_be_unpriced() -> None:
    none: dict[str, Any] = dict.fromkeys(SUMS, 0) | {"cost": None, "currency": None, "quantities": {}}
    rows = [
        none | {"calls": 2, "total_tokens": 5, "cost": "0.10", "currency": "EUR", "quantities": {"images": 2}},
        none
        | {"calls": 1, "total_tokens": 7, "cost": "0.000000000002", "currency": "EUR"}
        | {"quantities": {"images": 1, "input_audio_seconds": "0.25"}},
        none | {"calls": 3, "unpriced": 3},
        none | {"calls": 4},
    ]
    euros, nothing = total_rows(rows)
    assert (euros["calls"], euros["total_tokens"], euros["cost"]) == (3, 12, "0.100000000002")
    assert euros["quantities"] == {"images": 3, "input_audio_seconds": Decimal("0.25")}
    assert (nothing["calls"], nothing["unpriced"], nothing["cost"]) == (7, 3, None)
    assert [shown_cost(row, "csv") for row in rows] == ["0.10", "0.000000000002", "unpriced", None]
    assert shown_cost(rows[2], "json") is None


def test_square_brackets_are_text_and_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(["name"], [["[red]x[/red]"]], "table")
    assert "[red]x[/red]" in capsys.readouterr().out


@pytest.mark.parametrize(("format", "printed"), [("json", "[]\n"), ("csv", "caller,calls\n")])
def test_no_rows_are_an_answer_too(capsys: pytest.CaptureFixture[str], format: str, printed: str) -> None:
    print_rows(["caller", "calls"], [], "json" if format == "json" else "csv")
    assert capsys.readouterr().out == printed
