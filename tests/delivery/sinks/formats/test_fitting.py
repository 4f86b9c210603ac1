"""Events that fit: whole, in parts that make the exact event again, or without bodies; never cut off."""

import json
from base64 import b64decode
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from support.call_records import a_call, any_record, chat_request
from tokenweir.delivery import Rejected
from tokenweir.delivery.sinks import EventHubsConnection, JsonEvent, SinkSettings
from tokenweir.delivery.sinks.formats import SMALLEST_LIMIT, fit_json
from tokenweir.records import CallRecord

ENDLESS = 1 << 40


def told(**settings: Any) -> SinkSettings:
    return SinkSettings(name="hub", kind="event_hubs", connection=EventHubsConnection(), **settings)


def data_of(events: Sequence[JsonEvent], *, in_envelopes: bool) -> bytes:
    """What a consumer puts together again."""
    if not in_envelopes:
        return b"".join(event.body for event in events)
    envelopes = [json.loads(event.body) for event in events]
    if "data" in envelopes[0]:
        return msgspec.json.encode(envelopes[0]["data"])
    return b"".join(b64decode(one["data_base64"]) for one in envelopes)


shapes = st.sampled_from(["tokenweir", "sse-proxy", "apim"])
keys = st.sampled_from(["caller", "deployment", "call_id", "none"])


@given(any_record(), shapes, keys, st.booleans(), st.integers(SMALLEST_LIMIT, 3 * SMALLEST_LIMIT))
def test_parts_are_small_enough_and_joined_are_the_very_event(
    record: CallRecord, shape: str, key: str, in_envelopes: bool, limit: int
) -> None:
    settings = told(shape=shape, partition_by=key, cloud_events=in_envelopes, on_too_large="split")
    parts = fit_json(record, settings, limit)

    (whole,) = fit_json(record, msgspec.structs.replace(settings, cloud_events=False), ENDLESS)
    assert all(part.size <= limit for part in parts)
    assert json.loads(data_of(parts, in_envelopes=in_envelopes)) == json.loads(whole.body)
    assert {part.key for part in parts} == {whole.key}
    if len(parts) > 1:
        assert data_of(parts, in_envelopes=in_envelopes) == whole.body
        assert [part.properties["part"] for part in parts] == [str(n) for n in range(1, len(parts) + 1)]
        assert {part.properties["parts"] for part in parts} == {str(len(parts))}


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=20))
def test_no_part_ends_inside_a_character(text: str) -> None:
    for part in fit_json(a_call(request_body=text * SMALLEST_LIMIT), told(), SMALLEST_LIMIT):
        assert part.body.decode()


def test_an_event_that_fits_is_not_touched() -> None:
    (event,) = fit_json(a_call(), told(), ENDLESS)

    assert event.content_type == "application/json"
    assert event.properties == {
        "call_id": a_call().call_id,
        "replica": "host-relay-0-abcdef",
        "seq": "7",
        "shape": "tokenweir",
    }
    assert fit_json(a_call(), told(), event.size) == [event]


def test_a_part_does_not_claim_to_be_json() -> None:
    parts = fit_json(a_call(request_body="x" * 10_000), told(), SMALLEST_LIMIT)

    assert len(parts) > 2
    assert {part.content_type for part in parts} == {"application/octet-stream"}


@pytest.mark.parametrize(("shape", "messages"), [("tokenweir", 2), ("sse-proxy", 1), ("apim", 1)])
def test_readers_of_other_systems_events_never_see_a_part_unless_it_is_asked_for(shape: str, messages: int) -> None:
    record = a_call(request_body=chat_request(messages=[{"role": "user", "content": "x" * SMALLEST_LIMIT}]))
    events = fit_json(record, told(shape=shape), SMALLEST_LIMIT)
    assert len(events) == messages
    assert len(fit_json(record, told(shape=shape, on_too_large="split"), SMALLEST_LIMIT)) > 1


def test_a_large_prompt_is_shed_before_the_answer() -> None:
    record = a_call(request_body=chat_request(messages=[{"role": "user", "content": "x" * SMALLEST_LIMIT}]))
    (event,) = fit_json(record, told(shape="sse-proxy"), SMALLEST_LIMIT)
    said = json.loads(event.body)
    assert (said["prompt"], said["content"], said["bodies_shed"]) == ([], "Hi.", True)


@pytest.mark.parametrize("shape", ["tokenweir", "sse-proxy", "apim"])
def test_shed_bodies_leave_a_whole_event_that_says_so(shape: str) -> None:
    record = a_call(request_body=chat_request(messages=["x" * 10_000]))
    (event,) = fit_json(record, told(shape=shape, on_too_large="shed"), SMALLEST_LIMIT)

    said = json.loads(event.body)
    assert event.size <= SMALLEST_LIMIT
    assert said["bodies_shed"] is True
    assert not said.get("request_body") and not said.get("prompt") and not said.get("request")
    assert "bodies_shed" not in json.loads(fit_json(record, told(shape=shape), ENDLESS)[0].body)


def test_what_is_too_large_even_without_bodies_is_rejected_whole() -> None:
    record = a_call(requested_model="m" * 10_000)

    with pytest.raises(Rejected, match="without its bodies") as raised:
        fit_json(record, told(on_too_large="shed"), SMALLEST_LIMIT)

    (event,) = raised.value.events
    assert json.loads(event.letter()["event"])["requested_model"] == "m" * 10_000


def test_a_limit_that_leaves_no_room_rejects_instead_of_making_crumbs() -> None:
    with pytest.raises(Rejected, match="beside the properties") as raised:
        fit_json(a_call(), told(cloud_events=True), 500)

    assert len(raised.value.events) == 1


@pytest.mark.parametrize(
    ("by", "key"), [("caller", "team-a"), ("deployment", "gpt"), ("call_id", a_call().call_id), ("none", None)]
)
def test_the_key_is_what_the_settings_say(by: str, key: str | None) -> None:
    assert fit_json(a_call(), told(partition_by=by), ENDLESS)[0].key == key


def test_a_name_without_end_is_hashed_and_still_keeps_its_calls_together() -> None:
    records = [a_call(deployment=name * 5000) for name in "aab"]
    one, same, other = [fit_json(record, told(partition_by="deployment"), ENDLESS)[0].key for record in records]

    assert one == same != other
    assert one is not None and len(one) < 100
