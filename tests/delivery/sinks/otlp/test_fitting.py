"""One event holds the spans of a call: with what was asked for, or without where that is too large."""

import json
from typing import Any

import msgspec
import pytest

from support.call_records import a_call, chat_request
from tokenweir.delivery import Rejected
from tokenweir.delivery.sinks import OtlpConnection, SinkSettings
from tokenweir.delivery.sinks.otlp.sink import fit_spans

LARGE = chat_request(messages=[{"role": "user", "content": "x" * 9_000}])
CONTEXT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"


def told(**settings: Any) -> SinkSettings:
    return SinkSettings("spans", "otlp", OtlpConnection(), **settings)


def test_an_event_is_readable_and_can_be_sent_by_hand() -> None:
    [event] = fit_spans(a_call(attempts=1), told(), 100_000)
    spans = json.loads(event.letter()["event"])["spans"]

    assert [span["name"] for span in spans] == ["chat gpt-4o", "POST sweden"]
    assert spans[1]["parentSpanId"] == spans[0]["spanId"]
    assert {"key": "gen_ai.usage.input_tokens", "value": {"intValue": "9"}} in spans[0]["attributes"]
    assert (event.call_id, event.properties["shape"]) == (a_call().call_id, "spans")


def test_content_is_there_only_where_it_is_asked_for() -> None:
    [without] = fit_spans(a_call(), told(), 100_000)
    [with_content] = fit_spans(a_call(), told(content=True), 100_000)

    assert "Say hi." not in without.letter()["event"]
    assert "gen_ai.input.messages" in with_content.letter()["event"] and "Say hi." in with_content.letter()["event"]


def test_content_that_is_too_large_is_left_out_and_that_is_said() -> None:
    [event] = fit_spans(a_call(request_body=LARGE), told(content=True), 6_000)

    assert event.size <= 6_000
    assert "xxxx" not in event.letter()["event"]
    assert "tokenweir.content_shed" in event.letter()["event"]


@pytest.mark.parametrize("content", [False, True])
def test_what_is_too_large_in_any_case_is_rejected_and_kept_for_a_person(content: bool) -> None:
    record = a_call(tags={"a": "y" * 9_000}, request_body=LARGE)
    with pytest.raises(Rejected, match="spans of .* bytes, and the sink takes 6000") as raised:
        fit_spans(record, told(content=content), 6_000)

    [event] = raised.value.events
    assert "xxxx" not in event.letter()["event"] and "yyyy" in event.letter()["event"]


def test_a_trace_that_nobody_records_has_no_spans_of_ours_unless_all_are_asked_for() -> None:
    unsampled = a_call(traceparent=f"{CONTEXT}-00")

    assert fit_spans(unsampled, told(), 100_000) == []
    assert len(fit_spans(unsampled, told(sampler="always_on"), 100_000)) == 1
    assert len(fit_spans(a_call(traceparent=f"{CONTEXT}-01"), told(), 100_000)) == 1
    assert len(fit_spans(a_call(traceparent="nonsense"), told(), 100_000)) == 1


def test_a_value_beyond_64_bits_is_the_largest_there_is() -> None:
    [event] = fit_spans(a_call(input_tokens=2**70), told(), 100_000)
    [span] = msgspec.json.decode(event.letter()["event"])["spans"]

    assert {"key": "gen_ai.usage.input_tokens", "value": {"intValue": str(2**63 - 1)}} in span["attributes"]
