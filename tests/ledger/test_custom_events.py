"""The KQL that chargeback users run today runs unchanged, and its sums are right."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from tokenweir.ledger import Ledger
from tokenweir.records import CUSTOM_EVENT_PROPERTIES, CallRecord, ChargeLine, Quantity

MakeCall = Callable[..., CallRecord]

QUERIES = Path(__file__).resolve().parents[2] / "queries"
TODAY = [
    "TokenInfoId",
    "ApiOperation",
    "AppKey",
    "Timestamp",
    "Stream",
    "PromptTokens",
    "CompletionTokens",
    "TotalTokens",
]


def counted(ledger: Ledger, key: str) -> list[dict[str, Any]]:
    """The calls of one app that used something, oldest first."""
    calls = [call for call in ledger.calls() if call["usage_source"] != "none"]
    return [call for call in reversed(calls) if (call["key_id"] or call["caller"]) == key]


def test_the_sums_of_all_apps(busy_ledger: Ledger) -> None:
    table = busy_ledger.query_kql((QUERIES / "all-apps-tokens-count.kql").read_text())
    assert table.columns == ["SubscriptionKey", "PromptTokens", "CompletionTokens", "TotalTokens"]
    expected = [
        [
            f"{key[:8]}XXXX",
            sum(call["input_tokens"] for call in counted(busy_ledger, key)),
            sum(call["output_tokens"] for call in counted(busy_ledger, key)),
            sum(call["total_tokens"] for call in counted(busy_ledger, key)),
        ]
        for key in ("8f14e45fceea167a", "bob", "c9f0f895fb98ab91")
    ]
    assert sorted(table.rows) == sorted(expected)


def test_the_calls_of_one_app(busy_ledger: Ledger) -> None:
    table = busy_ledger.query_kql((QUERIES / "tokens-count-per-app.kql").read_text())
    assert table.columns == ["Timestamp", "Stream", "ApiOperation", "PromptTokens", "CompletionTokens", "TotalTokens"]
    assert sorted(table.rows) == [
        [
            f"{call['started_at']:%Y-%m-%dT%H:%M:%S.%fZ}",
            str(call["stream"]),
            "ChatCompletion",
            str(call["input_tokens"]),
            str(call["output_tokens"]),
            str(call["total_tokens"]),
        ]
        for call in counted(busy_ledger, "8f14e45fceea167a")
    ]


def test_an_event_has_todays_properties_first_and_all_are_text(ledger: Ledger, make_call: MakeCall) -> None:
    call = make_call(
        api="chat_completions",
        operation="chat",
        caller="team-a",
        key_id="8f14e45fceea167a",
        deployment="gpt-4o",
        requested_model="gpt-4o",
        response_model="gpt-4o-2024-11-20",
        backend="sweden",
        region="swedencentral",
        usage_source="estimated",
        input_tokens=11,
        cached_input_tokens=4,
        output_tokens=7,
        reasoning_tokens=3,
        total_tokens=18,
        cost=Decimal("0.0123"),
        currency="EUR",
        status=200,
        latency_ms=812.5,
        first_token_ms=99.49,
        attempts=2,
        sku="GlobalStandard",
        price_id="gpt-4o*",
        tags={"cost_centre": "Köln/4711"},
        path="/openai/v1/chat/completions",
        application="app-1",
        subject="person-1",
        identity_source="token",
        quantities={"images": Quantity(3, "counted"), "pages": Quantity(Decimal("0.5"))},
        charges=[ChargeLine("image", 3, "images", Decimal("0.0041"), 1, Decimal("0.0123"), "gpt-4o*", None, "EUR")],
        cost_reason="no_page",
    )
    ledger.post([call], "relay-1", "1")
    [[moment, name, event]] = ledger.query_sql('SELECT * FROM "customEvents"').rows
    assert (moment, name) == ("2026-03-01T00:00:00.000000Z", "Azure OpenAI Tokens")
    assert list(event) == list(CUSTOM_EVENT_PROPERTIES)
    assert list(event)[:8] == TODAY
    assert event == {
        "TokenInfoId": call.call_id,
        "ApiOperation": "ChatCompletion",
        "AppKey": "8f14e45fceea167a",
        "Timestamp": "2026-03-01T00:00:00.000000Z",
        "Stream": "False",
        "PromptTokens": "11",
        "CompletionTokens": "7",
        "TotalTokens": "18",
        "CallId": call.call_id,
        "Caller": "team-a",
        "Deployment": "gpt-4o",
        "Model": "gpt-4o-2024-11-20",
        "Backend": "sweden",
        "Region": "swedencentral",
        "UsageSource": "estimated",
        "CachedTokens": "4",
        "ReasoningTokens": "3",
        "Cost": "0.012300000000",
        "Currency": "EUR",
        "Status": "200",
        "Outcome": "completed",
        "ErrorCode": None,
        "LatencyMs": "813",
        "FirstTokenMs": "99",
        "Attempts": "2",
        "Sku": "GlobalStandard",
        "PriceId": "gpt-4o*",
        "Tags": '{"cost_centre":"Köln/4711"}',
        "Quantities": '{"images":{"amount":3,"source":"counted"},"pages":{"amount":"0.5","source":"reported"}}',
        "UsageReason": None,
        "Path": "/openai/v1/chat/completions",
        "Application": "app-1",
        "Subject": "person-1",
        "IdentitySource": "token",
        "Charges": '[{"meter":"image","quantity":3,"unit":"images","rate":"0.0041","amount":"0.0123",'
        '"price_id":"gpt-4o*","currency":"EUR"}]',
        "CostReason": "no_page",
        "Operation": "chat",
    }


def test_a_call_that_used_nothing_is_an_event_of_another_name(ledger: Ledger, make_call: MakeCall) -> None:
    ledger.post([make_call(status=429, outcome="upstream_error", error_code="429")], "relay-1", "1")
    [[_, name, event]] = ledger.query_sql('SELECT * FROM "customEvents"').rows
    assert (name, event["Status"], event["Outcome"]) == ("Azure OpenAI Calls", "429", "upstream_error")
    assert {name for name, text in event.items() if text is None} == {
        *("AppKey", "Caller", "Deployment", "Model", "Backend", "Region", "Cost", "Currency"),
        *("FirstTokenMs", "Sku", "PriceId", "Tags", "Quantities", "UsageReason", "Application", "Subject"),
        *("IdentitySource", "Charges", "CostReason"),
    }
    table = ledger.query_kql((QUERIES / "all-apps-tokens-count.kql").read_text())
    assert table.rows == []
    throttled = 'customEvents | where name == "Azure OpenAI Calls" and customDimensions.Status == "429" | count'
    assert ledger.query_kql(throttled).rows == [[1]]


def test_embeddings_are_there_and_calls_that_used_nothing_are_not(busy_ledger: Ledger) -> None:
    table = busy_ledger.query_kql(
        'customEvents | where name == "Azure OpenAI Tokens"'
        " | summarize n = count() by Operation = tostring(customDimensions.ApiOperation)"
    )
    used = [call["api"] for call in busy_ledger.calls() if call["usage_source"] != "none"]
    assert dict(table.rows) == {
        "ChatCompletion": used.count("chat_completions"),
        "TextCompletion": used.count("completions"),
        "Embeddings": used.count("embeddings"),
    }


def test_events_are_found_by_time(busy_ledger: Ledger) -> None:
    table = busy_ledger.query_kql(
        "customEvents | where timestamp between (datetime(2026-03-02) .. datetime(2026-03-03))"
        " | summarize n = count() by bin(timestamp, 1d)"
    )
    day = [call for call in busy_ledger.calls() if f"{call['started_at']:%d}" == "02"]
    assert table.rows == [
        ["2026-03-02T00:00:00.000000Z", len(day)],
    ]
    assert busy_ledger.query_kql("customEvents | where timestamp > ago(1h) | count").rows == [[0]]
