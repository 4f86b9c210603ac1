"""Events that begin with a byte order mark, or whose usage nobody can read: a record all the same."""

import json
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from tokenweir.delivery.sources.apim import ApimEvents
from tokenweir.policy import Keyring
from tokenweir.records import CallRecord

MARK = "\ufeff"
ANSWER = {
    "id": "c1",
    "object": "chat.completion",
    "model": "gpt-5",
    "choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 100, "completion_tokens": 40, "total_tokens": 140},
}


def record(before: str = "", **members: Any) -> CallRecord:
    event = {"eventTime": "2026-11-22T12:00:01Z", "apiOperation": "ChatCompletion", "request": '{"messages":[]}'}
    body = before + json.dumps({**event, **members})
    return ApimEvents(Keyring([], [])).decode(body.encode(errors="replace"))


@pytest.mark.parametrize(("before", "within"), [(MARK, ""), ("", MARK), (MARK, MARK)])
def test_a_byte_order_mark_is_passed_over(before: str, within: str) -> None:
    found = record(before, response=within + json.dumps(ANSWER))
    assert (found.usage.source, found.usage.total_tokens, found.outcome) == ("reported", 140, "completed")


def test_a_bare_nan_costs_nothing() -> None:
    found = record(response=json.dumps({**ANSWER, "logprobs": float("nan")}))
    assert (found.usage.source, found.usage.total_tokens, found.outcome) == ("reported", 140, "completed")


def test_the_record_says_why_usage_is_not_reported() -> None:
    assert record(response=json.dumps({**ANSWER, "usage": None})).usage.reason == "withheld"
    assert record(response=json.dumps({**ANSWER, "usage": {"prompt_tokens": "7"}})).usage.reason == "unreadable"
    assert record(response=json.dumps(ANSWER)[:80]).usage.reason == "cut"


odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*ANSWER, "prompt_tokens"]), inner),
    max_leaves=10,
)


@settings(max_examples=300)
@given(odd, odd, odd)
def test_any_event_is_a_record(usage: Any, response: Any, model: Any) -> None:
    record(response=json.dumps({**ANSWER, "usage": usage}), usage=usage, model=model)
    record(response=response, usage=usage, status=model)
