"""API Management's own LLM log, as diagnostic settings send it to an event hub: a call's entries become one record."""

import json
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from tokenweir.delivery import BrokerMessage, MessageBatch
from tokenweir.delivery.sources import Reassembled, Reassembler
from tokenweir.delivery.sources.apim import ApimEvents
from tokenweir.policy import Keyring

CALL = "9c52f2d6-6f14-4b39-9d1f-5f5a3a4a8f10"
ASKED = [{"role": "user", "content": "Where does water flow? " + "x" * 70_000}]
ANSWERED = [{"role": "assistant", "content": "Downhill."}]


def llm(number: int = 0, **properties: Any) -> dict[str, Any]:
    return {
        "time": "2026-11-22T12:00:01.4567890Z",
        "resourceId": "/SUBSCRIPTIONS/1/RESOURCEGROUPS/2/PROVIDERS/MICROSOFT.APIMANAGEMENT/SERVICE/apim",
        "category": "GatewayLlmLogs",
        "operationName": "Microsoft.ApiManagement/GatewayLlmLogs",
        "correlationId": properties.pop("call", CALL),
        "Region": "Sweden Central",
        "properties": {"sequenceNumber": number} | properties,
    }


def first(**properties: Any) -> dict[str, Any]:
    return llm(
        0,
        **{
            "deploymentName": "gpt",
            "modelName": "gpt-4o-2024-11-20",
            "promptTokens": 20,
            "completionTokens": 5,
            "totalTokens": 25,
            "promptCachedTokens": 8,
            "isStreamCompletion": True,
        }
        | properties,
    )


def gateway(**properties: Any) -> dict[str, Any]:
    return {
        "time": "2026-11-22T12:00:00.0000000Z",
        "resourceId": "/SUBSCRIPTIONS/1",
        "category": "GatewayLogs",
        "correlationId": properties.pop("call", CALL),
        "callerIpAddress": "203.0.113.7",
        "properties": {
            "apimSubscriptionId": "team-a",
            "productId": "openai",
            "backendId": "openai-backend",
            "responseCode": 200,
            "totalTime": 1200,
            "url": "https://apim/openai/deployments/gpt/chat/completions?api-version=2024-10-21&subscription-key=SECRET",
        }
        | properties,
    }


def taken(
    *messages: Any, reassembler: Reassembler | None = None, partition: str = "hub/0", **options: bool
) -> Reassembled:
    reassembler = reassembler or Reassembler(ApimEvents(Keyring([], []), **options))
    bodies = [message if isinstance(message, bytes) else json.dumps(message).encode() for message in messages]
    given = [BrokerMessage(body=body, place=f"offset {number}") for number, body in enumerate(bodies)]
    return reassembler.take(MessageBatch(partition=partition, position=str(len(given)), messages=given))


def test_counts_and_owner_of_a_call_come_from_two_logs() -> None:
    found = taken({"records": [first(), gateway()]})
    [record] = found.records
    assert (record.call_id, record.caller, record.deployment) == (CALL, "team-a", "gpt")
    usage = record.usage
    assert (usage.source, usage.input_tokens, usage.cached_input_tokens, usage.output_tokens) == ("reported", 20, 8, 5)
    assert (record.api, record.stream, record.outcome, record.status) == ("chat_completions", True, "completed", 200)
    assert (record.latency_ms, record.backend, record.api_version) == (1200.0, "openai-backend", "2024-10-21")
    assert (record.tags, record.region) == ({"product": "openai"}, "Sweden Central")
    assert found.dead == [] and len(found.settled) == 1


def test_a_record_waits_for_its_owner_in_whatever_order_and_the_position_waits_with_it() -> None:
    for order in ([first(), gateway()], [gateway(), first()]):
        reassembler = Reassembler(ApimEvents(Keyring([], [])))
        begun = taken(order[0], reassembler=reassembler)
        assert (begun.records, begun.settled) == ([], [])
        ended = taken(order[1], reassembler=reassembler)
        assert [record.caller for record in ended.records] == ["team-a"]
        assert len(ended.settled) == 1


def test_where_no_gateway_log_is_sent_nothing_is_waited_for() -> None:
    [record] = taken(first(), has_gateway_logs=False).records
    assert (record.caller, record.usage.total_tokens) == (None, 25)


def test_an_owner_that_never_comes_is_waited_for_during_twenty_batches() -> None:
    reassembler = Reassembler(ApimEvents(Keyring([], [])))
    taken(first(), reassembler=reassembler)
    for number in range(19):
        assert taken(gateway(call=f"other-{number}"), reassembler=reassembler).records == []
    assert [record.caller for record in taken(gateway(call="last"), reassembler=reassembler).records] == [None]


def chunks(**counts: Any) -> list[dict[str, Any]]:
    asked, answered = json.dumps(ASKED), json.dumps(ANSWERED)
    return [
        first(requestMessages=asked[:32_768], **counts),
        llm(1, requestMessages=asked[32_768:65_536]),
        llm(2, requestMessages=asked[65_536:]),
        llm(3, responseMessages=answered),
    ]


@given(st.permutations(range(5)), st.integers(1, 4))
@settings(max_examples=40)
def test_texts_of_32_kb_are_put_together_by_their_number_however_they_come(order: list[int], cut: int) -> None:
    entries = [*chunks(), gateway()]
    ordered = [entries[number] for number in order]
    reassembler = Reassembler(ApimEvents(Keyring([], []), keeps_content=True))
    found = [
        *taken({"records": ordered[:cut]}, reassembler=reassembler).records,
        *taken(ordered[cut:], reassembler=reassembler).records,
    ]
    [record] = found
    assert json.loads(record.request_body or "")["messages"] == ASKED
    assert json.loads(record.response_body or "")["choices"][0]["message"] == ANSWERED[0]
    assert (record.usage.source, record.usage.total_tokens) == ("reported", 25)


def test_a_call_without_counts_is_counted_by_its_texts() -> None:
    none = {"promptTokens": 0, "completionTokens": 0, "totalTokens": 0}
    reassembler = Reassembler(ApimEvents(Keyring([], [])))
    entries = [gateway(), *chunks(**none)]
    assert taken(entries[:3], reassembler=reassembler).records == []
    [record] = taken(entries[3:], reassembler=reassembler).records
    assert (record.usage.source, record.usage.output_tokens) == ("estimated", 4)
    assert record.usage.input_tokens > 8_000


def test_names_in_pascal_case_and_counts_as_text_are_read() -> None:
    row = {
        "TimeGenerated": "2026-11-22T12:00:01Z",
        "_ResourceId": "/subscriptions/1",
        "Type": "ApiManagementGatewayLlmLog",
        "CorrelationId": CALL,
        "ModelName": "gpt-4o",
        "DeploymentName": "gpt",
        "PromptTokens": "20",
        "CompletionTokens": "5",
        "TotalTokens": "25",
        "IsStreamCompletion": "False",
        "SequenceNumber": 0,
    }
    [record] = taken([row], has_gateway_logs=False).records
    assert (record.call_id, record.usage.total_tokens, record.stream) == (CALL, 25, False)


def test_claudes_prompt_does_not_contain_what_its_cache_gave() -> None:
    counts = {"promptTokens": 26, "promptCachedTokens": 48_854, "completionTokens": 5, "totalTokens": 31}
    [record] = taken([first(modelName="claude-opus-4-5", **counts), gateway()]).records
    assert (record.api, record.usage.input_tokens, record.usage.cached_input_tokens) == ("messages", 48_880, 48_854)


def test_texts_without_counts_and_calls_of_other_apis_are_no_records() -> None:
    found = taken([llm(1, requestMessages="[]"), gateway(call="pets")], reassembler=small())
    assert (found.records, found.dead, len(found.settled)) == ([], [], 1)


def small() -> Reassembler:
    """As a host reads that holds nothing back."""
    return Reassembler(ApimEvents(Keyring([], [])), most_held_bytes=0)


def test_where_nothing_can_be_held_back_a_call_is_metered_of_what_is_there() -> None:
    [record] = taken(first(), reassembler=small()).records
    assert (record.caller, record.usage.total_tokens) == (None, 25)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (first() | {"category": "WebSocketConnectionLogs"}, "let the diagnostic setting send GatewayLlmLogs"),
        ({**first(), "correlationId": None}, "it has no correlationId"),
        ({"eventTime": "2026-11-22T12:00:01Z", "appSubscriptionKey": "SECRET"}, "nothing says what was used"),
    ],
)
def test_one_bad_entry_of_many_is_refused_alone_and_without_keys(entry: dict[str, Any], reason: str) -> None:
    found = taken({"records": [entry | {"url": "https://x/?subscription-key=SECRET"}, first(), gateway()]})
    assert len(found.records) == 1
    [letter] = found.dead
    assert reason in letter.reason and letter.message.place == "offset 0, entry 1"
    assert b"SECRET" not in letter.message.body


def test_a_list_that_is_cut_off_or_empty_is_refused_with_what_to_change() -> None:
    found = taken(b'[{"eventTime": "2026-11-22T12:00:01Z", "request": "', b"[]")
    assert [letter.reason.partition(":")[0] for letter in found.dead] == [
        "it is a list of events whose end is missing",
        "it is an empty list, so nothing says what was used",
    ]


# --- events of policies, in other spellings ---

TODAY = {
    "eventTime": "2026-11-22T12:00:01Z",
    "apiOperation": "ChatCompletion",
    "appSubscriptionKey": "k",
    "request": '{"messages": []}',
    "response": '{"usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}}',
}


@pytest.mark.parametrize("wrap", [lambda event: [event], lambda event: {"records": [event, event]}])
def test_events_may_come_in_lists_and_wrappers(wrap: Any) -> None:
    found = taken(wrap(TODAY))
    assert {record.usage.total_tokens for record in found.records} == {12}
    assert len({record.call_id for record in found.records}) == 1


def test_events_may_be_written_in_pascal_case() -> None:
    pascal = {name[:1].upper() + name[1:]: value for name, value in TODAY.items()}
    [one], [other] = taken(TODAY).records, taken(pascal).records
    assert (other.usage, other.key_id, other.api) == (one.usage, one.key_id, one.api)


def test_events_of_the_policy_of_before_october_2023_are_metered_by_their_counts() -> None:
    event = {
        "event-time": "2023-09-22T12:00:01.1234567Z",
        "appSubscriptionKey": "k",
        "id": "chatcmpl-1",
        "operation": "ChatCompletions_Create",
        "model": "gpt-35-turbo",
        "completion_text": "Downhill.",
        "completion_tokens": "3",
        "prompt_tokens": "9",
        "total_tokens": "12",
    }
    [record] = taken(event).records
    assert (record.usage.source, record.usage.input_tokens, record.usage.output_tokens) == ("reported", 9, 3)
    assert (record.api, record.response_model, record.outcome) == ("chat_completions", "gpt-35-turbo", "completed")
    assert record.started_at.year == 2023 and record.key_id is not None


values = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.lists(st.integers(), max_size=2)
names = st.sampled_from(["category", "properties", "correlationId", "time", "modelName", "promptTokens", "records"])
odd = st.recursive(values, lambda inner: st.dictionaries(names, inner, max_size=6) | st.lists(inner, max_size=3))


@settings(max_examples=300)
@given(odd)
def test_whatever_comes_is_a_record_or_has_a_reason(value: Any) -> None:
    found = taken(value, first(), gateway(), reassembler=small())
    assert CALL in [record.call_id for record in found.records]
    assert all("no record could be made" not in letter.reason for letter in found.dead)
