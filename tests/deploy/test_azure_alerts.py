"""The alert rules for Azure Monitor: Kusto understands them, and they say nothing while all is well."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from support.call_records import a_call
from support.kusto import faults_of
from tokenweir.ledger import open_ledger
from tokenweir.records import CallRecord

ROOT = Path(__file__).resolve().parents[2]
ALERTS = {path.stem: path.read_text("utf-8") for path in (ROOT / "deploy/azure/reports/alerts").glob("*.kql")}
MODULE = (ROOT / "deploy/azure/modules/alerts.bicep").read_text("utf-8")
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def asked(name: str, calls: list[CallRecord]) -> list[list[Any]]:
    ledger = open_ledger("duckdb::memory:")
    ledger.post(calls, "relay-1", "1")
    rows = ledger.query_kql(ALERTS[name]).rows
    ledger.close()
    return rows


def calls(count: int, **fields: Any) -> list[CallRecord]:
    usual = {"caller": "team-a", "deployment": "gpt-4o", "started_at": NOW - timedelta(hours=1)}
    name = "-".join(map(str, fields.values()))
    return [a_call(**(usual | {"call_id": f"{name}-{number}"} | fields)) for number in range(count)]


def test_kusto_finds_nothing_wrong_with_them() -> None:
    assert len(ALERTS) == 5
    assert faults_of(list(ALERTS.values())) == [[]] * len(ALERTS)


def test_all_are_deployed_and_the_budget_is_put_in_where_it_stands() -> None:
    named = re.findall(r"reports/alerts/([\w-]+)\.kql", MODULE)
    assert sorted(named) == sorted(ALERTS)
    [replaced] = re.findall(r"budget.kql'\), '(.+?)', 'most = ", MODULE)
    assert ALERTS["budget"].count(replaced) == 1


@pytest.mark.parametrize(
    ("name", "well", "ill"),
    [
        ("budget", calls(3, cost=Decimal("33"), currency="EUR"), calls(4, cost=Decimal("33"), currency="EUR")),
        ("throttling", [*calls(30), *calls(3, status=429)], [*calls(30), *calls(4, status=429)]),
        ("throttling", calls(5, status=429), [*calls(10, status=429), *calls(10)]),
        ("unmetered", [*calls(30), *calls(5, usage_source="estimated")], calls(20, usage_source="estimated")),
        ("unmetered", calls(1), calls(1, error_code="bodies_left_out")),
    ],
)
def test_it_says_something_when_it_should_and_only_then(
    name: str, well: list[CallRecord], ill: list[CallRecord]
) -> None:
    assert asked(name, well) == []
    assert len(asked(name, ill)) == 1


def test_dead_letters_are_found_by_the_words_of_the_log() -> None:
    source = (ROOT / "src/tokenweir/delivery/dead_letters.py").read_text("utf-8")
    for words in re.findall(r'has "(.+?)"', ALERTS["dead-letters"]):
        assert words in source
