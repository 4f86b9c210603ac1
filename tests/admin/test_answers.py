"""Questions over HTTP are answered from the ledger, and mistakes with what would have been right."""

import json
import threading
from datetime import UTC, datetime
from typing import Any

import pytest

from tokenweir.errors import JournalError
from tokenweir.records import CallRecord


def ids(answer: Any) -> list[str]:
    return [call["call_id"] for call in answer.json()]


def test_the_newest_calls_come_first_without_bodies(gateway: Any) -> None:
    answer = gateway.ask("/api/calls")
    assert answer.status_code == 200
    assert ids(answer) == ["call-3", "call-2", "call-1", "call-0"]
    assert answer.json()[0]["started_at"] == "2026-03-10T11:00:00Z"
    assert answer.json()[0]["cost"] == "0.03"
    assert "request_body" not in answer.json()[0]


@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        ({"limit": "1"}, ["call-3"]),
        ({"caller": "ada"}, ["call-2", "call-0"]),
        ({"since": "2h"}, ["call-3", "call-2"]),
        ({"until": "2026-03-10T09:00:00Z"}, ["call-0"]),
        ({"since": "2026-03-10T10:00:00+01:00", "until": "90m", "caller": "bob"}, ["call-1"]),
        ({"caller": "mallory"}, []),
    ],
)
def test_calls_are_filtered(gateway: Any, parameters: dict[str, str], found: list[str]) -> None:
    assert ids(gateway.ask("/api/calls", params=parameters)) == found


def test_one_call_has_its_bodies(gateway: Any) -> None:
    answer = gateway.ask("/api/calls/call-1")
    assert answer.json()["request_body"] == '{"messages": []}'
    assert answer.json()["tags"] == {"cost_centre": "4711"}


def test_an_unknown_call_is_not_found(gateway: Any) -> None:
    answer = gateway.ask("/api/calls/call-9")
    assert answer.status_code == 404
    assert answer.json()["error"] == {"message": "there is no call 'call-9' in the ledger", "code": "unknown_call"}


def test_usage_by_caller_is_what_is_meant_by_usage(gateway: Any) -> None:
    rows = gateway.ask("/api/usage").json()
    assert [(row["caller"], row["calls"], row["total_tokens"], row["cost"]) for row in rows] == [
        ("ada", 2, 20, "0.02"),
        ("bob", 2, 40, "0.04"),
    ]
    assert gateway.ask("/api/usage", params={"by": "caller"}).json() == rows


def test_usage_by_several_groups_within_a_time(gateway: Any) -> None:
    asked = {"by": "deployment, tag:cost_centre", "since": "3h"}
    (row,) = gateway.ask("/api/usage", params=asked).json()
    assert (row["deployment"], row["tag:cost_centre"], row["calls"]) == ("gpt-4o", "4711", 3)
    (total,) = gateway.ask("/api/usage", params={"by": ""}).json()
    assert total["calls"] == 4


def test_usage_of_some_calls_by_the_days_of_a_time_zone(gateway: Any) -> None:
    asked = {"by": "day", "timezone": "Pacific/Kiritimati", "caller": "ada", "tag:cost_centre": "4711"}
    rows = gateway.ask("/api/usage", params=asked).json()
    assert sum(row["calls"] for row in rows) == 2
    elsewhere = gateway.ask("/api/usage", params={**asked, "timezone": "Pacific/Pago_Pago"}).json()
    assert {row["day"] for row in rows}.isdisjoint({row["day"] for row in elsewhere})
    assert gateway.ask("/api/usage", params={"model": "nosuch"}).json() == []


def test_queries_in_both_languages(gateway: Any) -> None:
    in_kql = {"kql": "calls | summarize tokens = sum(total_tokens) by caller | order by caller asc"}
    in_sql = {"sql": "SELECT caller, sum(total_tokens) AS tokens FROM calls GROUP BY caller ORDER BY caller"}
    expected = {"columns": ["caller", "tokens"], "rows": [["ada", 20], ["bob", 40]], "note": None}
    assert gateway.ask("/api/query", "POST", json=in_kql).json() == expected
    assert gateway.ask("/api/query", "POST", json=in_sql).json() == expected


def test_an_export_is_lines_that_end_with_how_many_rows_there_were(gateway: Any) -> None:
    answer = gateway.ask("/api/export", "POST", json={"sql": "SELECT caller FROM calls ORDER BY caller"})
    assert [json.loads(line) for line in answer.text.splitlines()] == [
        {"columns": ["caller"], "kinds": ["plain"]},
        [["ada"], ["ada"], ["bob"], ["bob"]],
        {"rows": 4},
    ]
    assert gateway.ask("/api/export", "POST", json={"sql": "SELECT nosuch FROM calls"}).status_code == 400


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("/api/calls?callr=ada", "did you mean 'caller'"),
        ("/api/calls?limit=0", "limit must be a number from 1 to 10000, not '0'"),
        ("/api/calls?limit=10001", "from 1 to 10000"),
        (f"/api/calls?limit={'9' * 5000}", "from 1 to 10000"),
        ("/api/calls?limit=ten", "not 'ten'"),
        ("/api/calls?since=yesterday", "'yesterday' is not a moment"),
        ("/api/usage?by=deploymnt", "did you mean 'deployment'"),
        ("/api/usage?until=7", "'7' is not a moment"),
        ("/api/usage?limit=5", "known: by, since, until"),
        ("/api/usage?timezone=Europe/Belin", "did you mean 'Europe/Berlin'"),
        ("/api/usage?caller=ada&caller=bob", "'caller' is given twice"),
        ("/api/usage?tag:a=1&status=bad", "status is a number"),
    ],
)
def test_a_mistake_in_a_parameter_is_explained(gateway: Any, path: str, hint: str) -> None:
    answer = gateway.ask(path)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_query"
    assert hint in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        (b"", "the body must be"),
        (b"SELECT 1", "the body must be"),
        (b"[]", "the body must be"),
        (b"{}", "exactly one"),
        (b'{"sql": 5}', "must be text"),
        (b'{"sql": "SELECT 1", "kql": "print 1"}', "exactly one"),
        (b'{"sq": "SELECT 1"}', "did you mean 'sql'"),
        (b'{"sql": "SELECT callr FROM calls"}', '"caller"'),
        (b'{"sql": "DELETE FROM calls"}', "only SELECT"),
        (b'{"kql": "calls | whre 1"}', "KQL: "),
        (b'{"sql": "' + b" " * 300_000 + b'"}', "the body is longer than 262144 bytes"),
    ],
)
def test_a_mistake_in_a_query_is_explained(gateway: Any, body: bytes, hint: str) -> None:
    answer = gateway.ask("/api/query", "POST", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_query"
    assert hint in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "method", "body"),
    [
        ("/api/calls", "GET", None),
        ("/api/calls/from-the-journal", "GET", None),
        ("/api/usage", "GET", None),
        ("/api/query", "POST", {"sql": "SELECT call_id, caller FROM calls"}),
    ],
)
def test_what_is_still_in_the_journal_is_in_the_answer(gateway: Any, path: str, method: str, body: Any) -> None:
    gateway.waiting = [
        CallRecord(call_id="from-the-journal", started_at=datetime(2026, 3, 10, tzinfo=UTC), caller="from-the-journal")
    ]
    answer = gateway.ask(path, method, json=body)
    assert answer.status_code == 200
    assert "from-the-journal" in answer.text


def test_the_event_loop_waits_for_no_journal_and_no_ledger(gateway: Any) -> None:
    threads: list[int] = []
    gateway.catch_up = lambda: threads.append(threading.get_ident())
    for path in ("/api/calls", "/api/calls/call-1", "/api/usage", "/readyz"):
        gateway.ask(path)
    assert len(threads) == 4
    assert threading.get_ident() not in threads


def test_a_journal_that_cannot_be_read_is_said_to_be_the_reason(gateway: Any) -> None:
    def fail() -> None:
        raise JournalError("the journal in x cannot be used: free space on its disk")

    gateway.catch_up = fail
    answer = gateway.ask("/api/calls")
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "unavailable"
    assert "free space" in answer.json()["error"]["message"]


def test_a_defect_is_answered_without_its_details(gateway: Any) -> None:
    def fail() -> None:
        raise ZeroDivisionError("secret")

    gateway.catch_up = fail
    answer = gateway.ask("/api/calls")
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "internal_error"
    assert "secret" not in answer.text


def test_a_path_where_nothing_is(gateway: Any) -> None:
    answer = gateway.ask("/api/call")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "unknown_route"
    assert "/api/openapi.json" in answer.json()["error"]["message"]


def test_a_method_that_a_path_does_not_have(gateway: Any) -> None:
    answer = gateway.ask("/api/query")
    assert answer.status_code == 405
    assert answer.json()["error"]["message"] == "ask this path with POST, not GET"
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("method", "path", "what"),
    [
        ("GET", "/api/calls", {}),
        ("GET", "/api/calls/call-1", {}),
        ("GET", "/api/usage", {}),
        ("POST", "/api/query", {"json": {"kql": "calls | count"}}),
    ],
)
def test_a_gateway_without_a_ledger_says_so(gateway: Any, method: str, path: str, what: dict[str, Any]) -> None:
    gateway.has_ledger = False
    answer = gateway.ask(path, method, **what)
    assert answer.status_code == 501
    assert answer.json()["error"]["code"] == "no_ledger"
    assert "`tokenweir consume`" in answer.json()["error"]["message"]
    for other in ("/api/relays", "/api/sinks", "/metrics", "/healthz", "/api/openapi.json"):
        assert gateway.ask(other).status_code == 200


def test_a_mistake_is_a_mistake_without_a_ledger_too(gateway: Any) -> None:
    gateway.has_ledger = False
    assert gateway.ask("/api/calls?colour=red").status_code == 400
