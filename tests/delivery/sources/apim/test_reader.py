"""API Management's events as records: what odd ones become, and that no cut ever breaks anything or shows a key."""

import json
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import example, given, strategies as st

from support.apim_events import LoggedCall, our_event, todays_event
from tokenweir.delivery import BrokerMessage, MessageBatch
from tokenweir.delivery.sources import Reassembler
from tokenweir.delivery.sources.apim import ApimEvents
from tokenweir.delivery.sources.formats import Unreadable
from tokenweir.policy import CallerSettings, Keyring
from tokenweir.records import CallRecord

KEY = "0123456789abcdef0123456789abcdef"
HASH = sha256(KEY.encode()).hexdigest()
USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}

REQUEST = json.dumps({"messages": [{"role": "user", "content": "Où coule l'eau ? 🌊"}], "max_tokens": 20})
ANSWER: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "model": "gpt-4o-2024-11-20",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Downhill."}, "finish_reason": "stop"}],
    "usage": USAGE,
}
FRAMES: list[dict[str, Any]] = [
    {"id": "", "model": "", "choices": [], "prompt_filter_results": []},
    {"id": "c", "model": "gpt-4o-2024-11-20", "choices": [{"index": 0, "delta": {"content": "Down"}}]},
    {"id": "c", "model": "gpt-4o-2024-11-20", "choices": [{"index": 0, "delta": {"content": "hill."}}]},
    {"id": "c", "model": "gpt-4o-2024-11-20", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
]
STREAM = "".join(f"data: {json.dumps(frame)}\n\n" for frame in FRAMES)
DONE = "data: [DONE]\n\n"


def read(event: str | bytes | dict[str, Any], *callers: CallerSettings, **options: bool) -> CallRecord:
    data = json.dumps(event) if isinstance(event, dict) else event
    return ApimEvents(Keyring(callers, []), **options).decode(data.encode() if isinstance(data, str) else data)


def event(**members: Any) -> dict[str, Any]:
    """Today's event of a chat that went well, unless something else is asked for."""
    plain: dict[str, Any] = json.loads(todays_event(LoggedCall(request=REQUEST, response=json.dumps(ANSWER))))
    return plain | members


def request(**members: Any) -> str:
    return json.dumps({**json.loads(REQUEST), **members})


def counts(record: CallRecord) -> tuple[str, int, int]:
    return record.usage.source, record.usage.input_tokens, record.usage.output_tokens


def test_a_usage_is_trusted_wherever_it_stands() -> None:
    asked = f"data: {json.dumps({**FRAMES[1], 'choices': [], 'usage': USAGE})}\n\n"
    without = json.dumps({name: value for name, value in ANSWER.items() if name != "usage"})
    for logged in (
        event(),
        event(response=STREAM + asked + DONE),
        event(response=without, usage=USAGE),
        event(request=None, response=None, bodies="left out", usage=USAGE),
    ):
        assert counts(read(logged)) == ("reported", 9, 3)


@pytest.mark.parametrize(
    "members",
    [
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Où coule l'eau ? 🌊"}]}]},
        {"stream": None},
        {"tools": None, "response_format": None, "stop": None},
    ],
)
def test_what_broke_the_chargeback_solution_is_counted(members: dict[str, Any]) -> None:
    plain = read(event(request=request(), response=STREAM + DONE))
    odd = read(event(request=request(**members), response=STREAM + DONE))
    assert counts(odd) == counts(plain)
    assert (odd.usage.source, odd.outcome, odd.response_model) == ("estimated", "completed", "gpt-4o-2024-11-20")


def test_a_prompt_may_be_a_list() -> None:
    answer = json.dumps({"object": "text_completion", "choices": [{"index": 0, "text": "Down."}]})
    told = read(event(apiOperation="TextCompletion", request='{"prompt":["a","b"]}', response=answer))
    assert (told.api, told.usage.source, told.usage.input_tokens) == ("completions", "estimated", 2)


def test_throttling_is_seen_and_costs_nothing() -> None:
    refused = json.dumps({"error": {"code": "429", "message": "slow down"}})
    told = read(our_event(LoggedCall(request=REQUEST, response=refused, status=429)))
    assert (told.outcome, told.status, told.error_code) == ("upstream_error", 429, "429")
    assert counts(told) == ("none", 0, 0)


def test_bodies_that_were_left_out_without_a_usage_are_told() -> None:
    told = read(event(request=None, response=None, bodies="left out", requestId="1", status=200, backend="pool"))
    assert (counts(told), told.outcome, told.error_code) == (("none", 0, 0), "completed", "bodies_left_out")


def test_a_usage_that_was_cut_is_no_usage() -> None:
    whole = json.dumps(ANSWER)
    cut = whole[: whole.index('"completion_tokens"')]
    for logged in (event(response=cut), json.dumps(event(response=cut))[:-1].removesuffix('"')):
        told = read(logged)
        assert told.usage.source == "estimated"
        assert told.usage.output_tokens > 0
        assert told.error_code == "event_truncated"


def test_a_usage_behind_which_more_came_is_whole() -> None:
    whole = json.dumps(ANSWER | {"user": "x" * 50})
    assert counts(read(event(response=whole[:-20]))) == ("reported", 9, 3)


def test_an_event_that_comes_twice_is_one_call() -> None:
    assert read(event()).call_id == read(event()).call_id
    assert read(event()).call_id != read(event(response="{}")).call_id


def test_the_key_becomes_the_configured_caller() -> None:
    caller = CallerSettings("team-a", key_sha256=HASH, tags={"cost_centre": "4711"})
    for key in (KEY, f"sha256:{HASH}"):
        told = read(event(appSubscriptionKey=key), caller)
        assert (told.caller, told.tags["cost_centre"]) == ("team-a", "4711")
    assert read(event(appSubscriptionKey=KEY)).caller == HASH
    assert read(event(appSubscriptionKey=KEY), keeps_keys=True).key_id == KEY


def test_contents_are_kept_only_where_they_are_to_be() -> None:
    assert (read(event()).request_body, read(event()).response_body) == (None, None)
    kept = read(event(), keeps_content=True)
    assert (kept.request_body, kept.response_body) == (REQUEST, json.dumps(ANSWER))


@pytest.mark.parametrize(
    "data", [b"", b"7", b"[]", b'"text"', b"no JSON", b"\xff\xfe", b"{}", b'{"eventTime":7}', b"[" * 100_000]
)
def test_a_bad_event_is_a_dead_letter_and_the_batch_goes_on(data: bytes) -> None:
    good = BrokerMessage(body=json.dumps(event()).encode(), place="1")
    inbox = Reassembler(ApimEvents(Keyring([], [])))
    taken = inbox.take(
        MessageBatch(partition="hub/0", position="3", messages=[good, BrokerMessage(body=data, place="2"), good])
    )
    assert (len(taken.records), len(taken.dead)) == (2, 1)
    assert [settled.position for settled in taken.settled] == ["3"]


def test_a_request_of_nothing_but_brackets_does_not_hold_up_the_batch() -> None:
    assert read(event(request='{"messages":' * 16_000, response=STREAM + DONE)).usage.output_tokens > 0


USES_KEY = [
    todays_event(LoggedCall(request=REQUEST, response=json.dumps(ANSWER), subscription_key=KEY)),
    todays_event(LoggedCall(request=REQUEST, response=STREAM + DONE, subscription_key=KEY)),
    json.dumps({"appSubscriptionKey": KEY, **event()}, ensure_ascii=False),
    our_event(LoggedCall(request=REQUEST, response=json.dumps(ANSWER), subscription_key=KEY)),
]


@given(whole=st.sampled_from(USES_KEY), share=st.floats(0, 1), junk=st.binary(max_size=3))
@example(whole=USES_KEY[0], share=1.0, junk=b"")
def test_any_cut_of_any_event_is_a_record_or_a_dead_letter_and_never_shows_the_key(
    whole: str, share: float, junk: bytes
) -> None:
    data = whole.encode()
    data = data[: round(share * len(data))] + junk
    message = BrokerMessage(body=data, place="here")
    taken = Reassembler(ApimEvents(Keyring([], []))).take(
        MessageBatch(partition="hub/0", position="1", messages=[message])
    )
    assert len(taken.records) + len(taken.dead) == 1
    said = repr(taken.records) + "".join(letter.reason for letter in taken.dead)
    shown = said.encode() + b"".join(letter.message.body for letter in taken.dead)
    assert KEY.encode() not in shown
    for record in taken.records:
        assert record.usage.input_tokens >= 0 and record.usage.output_tokens >= 0


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(VALUES, st.sampled_from(sorted(event() | json.loads(USES_KEY[3]))))
def test_no_value_of_any_member_raises_anything_else(value: Any, member: str) -> None:
    for base in (event(), json.loads(USES_KEY[3])):
        try:
            read(base | {member: value})
        except Unreadable as error:
            assert KEY not in str(error)
