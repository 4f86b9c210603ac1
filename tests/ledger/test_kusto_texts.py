"""Text in KQL as Kusto has it: never null, whichever engine keeps the ledger."""

from collections.abc import Iterator
from typing import Any

import pytest

from support.call_records import a_call
from support.engines import ENGINES, new_engine
from tokenweir.ledger import Ledger


@pytest.fixture(scope="module", params=ENGINES)
def ledger(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """Five good calls and two that failed. Nobody here writes."""
    engine = new_engine(request, tmp_path_factory.mktemp("ledger"))
    engine.fill()
    ledger = engine.open()
    good = [a_call(call_id=f"good-{n}", caller=None, region=None, tags={}) for n in range(5)]
    bad = [a_call(call_id=f"bad-{n}", error_code="429", status=None, usage=None) for n in range(2)]
    ledger.post([*good, *bad], "relay-1", "1")
    yield ledger
    ledger.close()


@pytest.mark.parametrize(
    ("kql", "rows"),
    [
        ("calls | where error_code == '' | count", [[5]]),
        ("calls | where error_code != '' | count", [[2]]),
        ("calls | where error_code != 'x' | count", [[7]]),
        ("calls | where error_code in ('', 'y') | count", [[5]]),
        ("calls | where error_code !in ('', 'y') | count", [[2]]),
        ("calls | where error_code =~ '' | count", [[5]]),
        ("calls | where isempty(error_code) | count", [[5]]),
        ("calls | where isnotempty(error_code) | count", [[2]]),
        ("calls | where isnull(error_code) | count", [[0]]),
        ("calls | where isnotnull(error_code) | count", [[7]]),
        ("calls | where strlen(error_code) == 0 | count", [[5]]),
        ("calls | summarize count() by error_code | order by error_code asc", [["", 5], ["429", 2]]),
        ("calls | distinct error_code | order by error_code asc", [[""], ["429"]]),
        ("calls | summarize dcount(error_code), countif(error_code == '')", [[2, 5]]),
        (
            "calls | extend where_ = strcat(error_code, '/', caller) | distinct where_ | order by where_ asc",
            [["/"], ["429/team-a"]],
        ),
        (
            (
                "calls | where call_id has 'good' | join kind=inner (calls | distinct error_code, b = error_code)"
                " on error_code | summarize count() by b"
            ),
            [["", 5]],
        ),
        ("calls | where call_id == 'good-0' | project error_code, caller, subject", [["", "", ""]]),
        # What may be null in Kusto is null.
        ("calls | where isnull(status) | count", [[2]]),
        ("calls | where isnull(usage) | count", [[2]]),
        ("calls | where call_id == 'good-0' | project cost, first_token_ms, tags.centre", [[None, None, None]]),
        ("customEvents | where isnull(customDimensions.ErrorCode) | count", [[5]]),
        ("customEvents | where tostring(customDimensions.ErrorCode) == '' | count", [[5]]),
        (
            "customEvents | summarize count() by e = tostring(customDimensions.ErrorCode) | order by e asc",
            [["", 5], ["429", 2]],
        ),
        (
            (
                "customEvents | extend id = tostring(customDimensions.CallId), e = customDimensions.ErrorCode "
                "| join kind=inner (calls | project id = call_id, error_code) on id | distinct e, error_code "
                "| order by error_code asc"
            ),
            [[None, ""], ["429", "429"]],
        ),
    ],
)
def test_a_text_that_is_not_there_is_empty_and_everything_else_null(ledger: Ledger, kql: str, rows: list[Any]) -> None:
    assert ledger.query_kql(kql).rows == rows


def test_sql_has_its_nulls(ledger: Ledger) -> None:
    assert ledger.query_sql("SELECT count(*) FROM calls WHERE error_code IS NULL").rows == [[5]]
