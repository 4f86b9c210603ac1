"""API Management's event, as the chargeback function reads it."""

import json

import msgspec
import pytest

from support.call_records import a_call, chat_request, stream_of
from tokenweir.delivery.sinks.formats.shapes import apim_event

FIVE = ["eventTime", "apiOperation", "appSubscriptionKey", "request", "response"]


def test_the_five_fields_come_first_with_bodies_as_text() -> None:
    event = apim_event(a_call())

    assert list(event)[:5] == FIVE
    assert event["eventTime"] == "2026-11-22T12:00:00.2007060Z"
    assert event["apiOperation"] == "ChatCompletion"
    assert json.loads(event["request"]) == json.loads(chat_request())
    assert json.loads(event["response"])["choices"][0]["message"]["content"] == "Hi."


def test_a_stream_is_there_as_the_whole_text_that_was_sent() -> None:
    text = stream_of({"delta": {"content": "data: x"}})

    assert apim_event(a_call(stream=True, response_body=text))["response"] == text


def test_the_subscription_key_is_the_keys_id() -> None:
    assert apim_event(a_call())["appSubscriptionKey"] == "k-1"
    assert apim_event(a_call(key_id=None))["appSubscriptionKey"] == ""


@pytest.mark.parametrize(
    ("api", "status", "operation"),
    [
        ("completions", 200, "TextCompletion"),
        ("embeddings", 200, ""),
        ("chat_completions", 429, ""),
        ("chat_completions", None, ""),
    ],
)
def test_only_what_the_policy_logged_names_an_operation(api: str, status: int | None, operation: str) -> None:
    assert apim_event(a_call(api=api, status=status))["apiOperation"] == operation


def test_bodies_that_were_not_kept_are_null_and_the_counts_are_there_all_the_same() -> None:
    event = msgspec.json.decode(msgspec.json.encode(apim_event(a_call(request_body=None, response_body=None))))

    assert (event["request"], event["response"]) == (None, None)
    assert (event["promptTokens"], event["completionTokens"], event["totalTokens"]) == (9, 3, 12)
    assert event["usageSource"] == "reported"
    assert event["callId"] == a_call().call_id
