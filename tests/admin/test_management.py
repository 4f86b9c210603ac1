"""API Management's contract for traces: the same requests, the same answers, and errors in ARM's shape."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from support.call_records import a_call
from tokenweir.admin import PATHS, document
from tokenweir.policy import DebugTokens
from tokenweir.records import Trace, TracedAttempt, TracedTarget, new_call_id

SERVICE = "/subscriptions/5/resourceGroups/rg/providers/Microsoft.ApiManagement/service/apim"
VERSION = "?api-version=2023-05-01-preview"
CREDENTIALS = f"{SERVICE}/gateways/managed/listDebugCredentials"
TRACE = f"{SERVICE}/gateways/managed/listTrace"
ASKED = {"credentialsExpireAfter": "PT1H", "apiId": f"{SERVICE}/apis/openai", "purposes": ["tracing"]}
NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


def traced(call_id: str) -> Any:
    targets = [TracedTarget("sweden", "gpt", "ptu"), TracedTarget("france", "gpt")]
    attempts = [
        TracedAttempt(
            0, 0.5, sent_ms=0.6, answered_ms=20.0, status=429, headers=[("x-ratelimit-remaining-tokens", "0")]
        ),
        TracedAttempt(1, 20.0, connected_ms=30.0, sent_ms=30.1, answered_ms=120.0, status=200),
    ]
    trace = Trace(["asked"], [("api-key", "****")], 0.4, targets, attempts, [(120.9, 200), (199.0, 100)])
    return a_call(call_id=call_id, trace=trace, attempts=2, backend="france")


@pytest.mark.parametrize(
    ("asked", "lasts"), [("PT1H", timedelta(hours=1)), ("PT90S", timedelta(seconds=90)), (None, timedelta(hours=1))]
)
def test_a_token_is_issued_for_as_long_as_was_asked(gateway: Any, asked: str | None, lasts: timedelta) -> None:
    body = {**ASKED, "credentialsExpireAfter": asked} if asked else {k: ASKED[k] for k in ("apiId", "purposes")}
    answer = gateway.ask(CREDENTIALS + VERSION, "POST", json=body)
    assert answer.status_code == 200
    assert list(answer.json()) == ["token"]
    assert answer.json()["token"].startswith("aid=openai&")
    token = DebugTokens("a secret", "openai").read(answer.json()["token"], NOW)
    assert token is not None
    assert (token.state, token.expires) == ("valid", NOW + lasts)


def test_a_body_that_python_wrote_is_read_as_azure_reads_it(gateway: Any) -> None:
    """``az rest --body "{str(request)}"``, as today's notebooks have it."""
    asked = str({**ASKED, "apiId": f"{SERVICE}/apis/{SERVICE}/apis/openai"}).encode()
    answer = gateway.ask(CREDENTIALS + VERSION, "POST", content=asked, headers={"Content-Type": "application/json"})
    assert answer.status_code == 200
    assert (
        gateway.ask(
            CREDENTIALS + VERSION,
            "POST",
            content=b"{'a': __import__('os')}",
            headers={"Content-Type": "application/json"},
        ).json()["error"]["code"]
        == "InvalidRequestContent"
    )


@pytest.mark.parametrize(
    ("change", "code", "hint"),
    [
        ({"apiId": f"{SERVICE}/apis/echo"}, "ValidationError", "'openai'; end apiId in /apis/openai"),
        ({"purposes": ["debugging"]}, "ValidationError", '["tracing"]'),
        ({"purposes": []}, "ValidationError", '["tracing"]'),
        ({"credentialsExpireAfter": "PT61M"}, "ValidationError", "at most PT1H"),
        ({"credentialsExpireAfter": "P1D"}, "ValidationError", "at most PT1H"),
        ({"credentialsExpireAfter": "PT0S"}, "ValidationError", "more than nothing"),
        ({"credentialsExpireAfter": "an hour"}, "InvalidRequestContent", "$.credentialsExpireAfter"),
        ({"credentialsExpireAfter": 3600}, "InvalidRequestContent", "$.credentialsExpireAfter"),
        ({"apiId": None}, "InvalidRequestContent", "$.apiId"),
    ],
)
def test_what_cannot_be_issued_is_explained(gateway: Any, change: dict[str, Any], code: str, hint: str) -> None:
    answer = gateway.ask(CREDENTIALS + VERSION, "POST", json={**ASKED, **change})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)
    assert hint in answer.json()["error"]["message"]


@pytest.mark.parametrize("path", [CREDENTIALS, TRACE])
@pytest.mark.parametrize(
    ("query", "body", "code", "hint"),
    [
        ("", b"{}", "MissingApiVersionParameter", "?api-version="),
        ("?api-version=newest", b"{}", "InvalidApiVersionParameter", "'newest'"),
        (VERSION, b"", "InvalidRequestContent", "the body must be like"),
        (VERSION, b"[]", "InvalidRequestContent", "the body must be like"),
        (VERSION, b"{}", "InvalidRequestContent", "missing required field"),
    ],
)
def test_a_request_that_is_none_is_explained(
    gateway: Any, path: str, query: str, body: bytes, code: str, hint: str
) -> None:
    answer = gateway.ask(path + query, "POST", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)
    assert hint in answer.json()["error"]["message"]


def test_a_trace_is_told_in_the_three_sections(gateway: Any) -> None:
    call_id = new_call_id()
    gateway.ledger.post([traced(call_id)], "relay-1", "1")
    answer = gateway.ask(TRACE + VERSION, "POST", json={"traceId": call_id})
    assert answer.status_code == 200
    assert answer.json()["traceId"] == call_id
    entries = answer.json()["traceEntries"]
    assert list(entries) == ["inbound", "backend", "outbound"]
    assert [entry["source"] for entry in entries["inbound"]] == ["accept", "admit", "choose"]
    busy, answered = entries["backend"]
    assert busy["timestamp"] == "2026-11-22T12:00:00.0007500Z"
    assert busy["elapsed"] == "00:00:00.0005000"
    assert "as sweden had no room (429)" in answered["data"]["message"]
    assert entries["inbound"][0]["data"]["request"]["headers"] == [{"name": "api-key", "value": "****"}]
    assert entries["outbound"][-1]["data"]["totalTokens"] == 12


def test_who_asks_right_behind_the_answer_is_told_though_the_record_comes_a_little_later(gateway: Any) -> None:
    call_id = new_call_id()
    asked: list[str] = []

    def catch_up() -> None:
        asked.append(call_id)
        if len(asked) == 3:
            gateway.ledger.post([traced(call_id)], "relay-1", "1")

    gateway.catch_up = catch_up
    assert gateway.ask(TRACE + VERSION, "POST", json={"traceId": call_id}).status_code == 200
    assert len(asked) == 3


def test_a_call_that_nobody_knows_and_one_without_a_trace_are_told_apart(gateway: Any) -> None:
    unknown = gateway.ask(TRACE + VERSION, "POST", json={"traceId": "nosuch"})
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "ResourceNotFound")
    assert "'nosuch'" in unknown.json()["error"]["message"]
    untraced = gateway.ask(TRACE + VERSION, "POST", json={"traceId": "call-1"})
    assert (untraced.status_code, untraced.json()["error"]["code"]) == (404, "TraceNotFound")
    assert "[tracing] sample" in untraced.json()["error"]["message"]


def test_a_gateway_without_a_ledger_says_where_traces_are(gateway: Any) -> None:
    gateway.has_ledger = False
    answer = gateway.ask(TRACE + VERSION, "POST", json={"traceId": "call-1"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (501, "no_ledger")
    assert gateway.ask(CREDENTIALS + VERSION, "POST", json=ASKED).status_code == 200


@pytest.mark.parametrize("path", [CREDENTIALS, TRACE])
def test_the_admin_token_is_asked_for_here_too(gateway: Any, path: str) -> None:
    gateway.token = "sk-admin"
    headers = {"Authorization": "Bearer of-azure"}
    assert gateway.ask(path + VERSION, "POST", json=ASKED, headers=headers).status_code == 401


def test_answers_have_the_fields_that_are_described(gateway: Any) -> None:
    call_id = new_call_id()
    gateway.ledger.post([traced(call_id)], "relay-1", "1")
    schemas = document()["components"]["schemas"]
    trace = gateway.ask(TRACE + VERSION, "POST", json={"traceId": call_id}).json()
    assert set(trace) == set(schemas["ApimTrace"]["properties"])
    assert set(trace["traceEntries"]) == set(schemas["ApimTrace"]["properties"]["traceEntries"]["properties"])
    for entries in trace["traceEntries"].values():
        for entry in entries:
            assert set(entry) == set(schemas["ApimTraceEntry"]["properties"])
    assert set(ASKED) == set(schemas["DebugCredentials"]["properties"])
    assert len([path for path in PATHS if "Microsoft.ApiManagement" in path]) == 8
