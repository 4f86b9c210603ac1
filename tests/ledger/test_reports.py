"""One question, one name, two dialects."""

import pytest

from tokenweir.errors import QueryError
from tokenweir.ledger import Ledger, report, report_names


@pytest.mark.parametrize("name", report_names())
def test_both_dialects_give_the_same_answer(busy_ledger: Ledger, name: str) -> None:
    in_sql = busy_ledger.query_sql(report(name, "sql"))
    in_kql = busy_ledger.query_kql(report(name, "kql"))
    # A text that is not there is null in SQL, and empty in KQL.
    texts = [name in ("caller", "model", "currency") for name in in_sql.columns]
    as_kql = [
        ["" if cell is None and text else cell for cell, text in zip(row, texts, strict=True)] for row in in_sql.rows
    ]
    assert (in_sql.columns, as_kql, in_sql.note) == (in_kql.columns, in_kql.rows, in_kql.note)
    assert len(in_sql.rows) > 2


@pytest.mark.parametrize("name", report_names())
def test_a_report_agrees_with_usage(busy_ledger: Ledger, name: str) -> None:
    table = busy_ledger.query_sql(report(name, "sql"))
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    usage = busy_ledger.usage([table.columns[0]])
    totals = ["calls", "input_tokens", "cached_input_tokens", "output_tokens", "reasoning_tokens", "total_tokens"]
    assert sorted([row[name] for name in totals] for row in rows) == sorted(
        [row[name] for name in totals] for row in usage
    )
    assert sorted(float(row["cost"]) for row in rows) == sorted(float(row["cost"] or 0) for row in usage)


def test_there_are_reports() -> None:
    assert report_names() == ["usage_by_caller", "usage_by_day", "usage_by_model"]


def test_an_unknown_report_names_the_nearest() -> None:
    with pytest.raises(QueryError, match="did you mean 'usage_by_caller'"):
        report("usage_by_calller", "sql")
