"""KQL and SQL are told apart by how they begin."""

import pytest

from tokenweir.cli.query import language_of


@pytest.mark.parametrize(
    "text",
    [
        "select 1",
        "  SELECT * FROM calls",
        "with a as (select 1) select * from a",
        "from calls",
        "-- a comment\n/* and\nanother */ select 1",
        "(select 1) union (select 2)",
        "values (1)",
    ],
)
def test_this_is_sql(text: str) -> None:
    assert language_of(text) == "sql"


@pytest.mark.parametrize(
    "text",
    [
        "calls | count",
        "customEvents\n| where name contains 'Azure OpenAI Tokens'",
        "let x = 1; calls",
        "// select\ncalls",
        "selected_calls | take 1",
        "",
    ],
)
def test_this_is_kql(text: str) -> None:
    assert language_of(text) == "kql"
