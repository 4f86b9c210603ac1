"""Days on which more is asked for than may be used. At the end of each, no reservation has stayed behind."""

import json
import threading
from decimal import Decimal
from typing import Any

import pytest

from support.raw_client import Answer, RawClient, chat_request
from support.relay_thread import RelayThread
from support.scripted import Line
from support.streams import STREAM_HEAD, USAGE, answer, chunked, frame
from support.websocket_frames import SWITCHED, asks, event_frame, opened
from support.world import World, on_both_hosts
from tokenweir.limits import AdmissionSettings, LimitAmounts, LimitSettings
from tokenweir.limits.limit import NANO
from tokenweir.limits.settings import Money
from tokenweir.pricing import Price, PriceList, PriceSettings
from tokenweir.simulator import Script

HUGE = 10**12
MESSAGES = b'{"messages":[{"role":"user","content":"What does a weir do?"}]'
PLAIN = Script()


def limited(world: World, *faulty: Any, per: tuple[str, ...] = ("caller",), **amounts: Any) -> RelayThread:
    """A relay with one limit of these amounts. The check at a test's end has a call of its own."""
    table = LimitSettings("test", LimitAmounts(**amounts), list(per))
    return world.relay(*faulty, limits=[table])


def ask(relay: RelayThread, *lines: str, script: Script | None = PLAIN, **how: Any) -> Answer:
    with RawClient(relay.address) as client:
        client.send(chat_request(script, *lines, **how))
        return client.read_answer()


def given_out(relay: RelayThread, setting: str) -> list[int]:
    """What is out of each account of a limit."""

    def look() -> list[int]:
        limits = relay.process.data_plane.services.limits
        assert limits is not None
        now, moment = relay.clock.monotonic(), relay.clock.now().timestamp()
        calendar = limits.limiter._calendar
        return [
            one.account.given(now, calendar.period(one.limit.window, moment).start if one.limit.is_quota else 0)
            for one in limits.limiter._allowances.values()
            if one.limit.setting == setting
        ]

    return relay.inside(look)


@on_both_hosts
def test_beyond_a_rate_the_answer_is_429_and_says_truly_when_to_come_back(world: World) -> None:
    relay = limited(world, requests_per_minute=2)
    first, second, third = ask(relay), ask(relay), ask(relay)
    assert [one.status for one in (first, second, third)] == [200, 200, 429]
    assert (third.error["type"], third.error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
    wait = int(third.fields["retry-after-ms"]) / 1000
    assert 0 < wait <= 61
    assert int(third.fields["retry-after"]) - 1 <= wait <= int(third.fields["retry-after"])
    assert third.fields["x-ratelimit-remaining-requests"] == "0"
    assert [record.outcome for record in relay.records(3)] == ["completed", "completed", "refused"]
    assert relay.records(3)[2].error_code == "rate_limit_exceeded"
    relay.jump(wait)
    assert ask(relay).status == 200
    relay.records(4)
    relay.jump(61)


@on_both_hosts
def test_beyond_a_quota_the_answer_is_403(world: World) -> None:
    relay = limited(world, tokens_per_day=5000)
    assert ask(relay).status == 200
    refused = ask(relay, body=b'{"messages":[],"max_tokens":5000}')
    assert (refused.status, refused.error["code"]) == (403, "quota_exceeded")
    used = relay.records(2)[0].usage.total_tokens
    assert f"{5000 - used} left" in str(refused.error["message"])


def test_the_headers_of_an_answer_tell_what_this_caller_has_left_and_not_what_everybody_has(world: World) -> None:
    def play(line: Line) -> None:
        line.read_request()
        body = b'{"model":"gpt-4o","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":9,"total_tokens":16}}'
        line.send(answer(body, "x-ratelimit-remaining-tokens: 99999", "X-RateLimit-Limit-Requests: 1", "x-kept: yes"))

    relay = limited(world, world.upstream(play), requests_per_minute=5, tokens_per_minute=10_000)
    fields = ask(relay, deployment="faulty", body=b'{"messages":[],"max_tokens":100}').fields
    assert (fields["x-ratelimit-limit-requests"], fields["x-ratelimit-remaining-requests"]) == ("5", "4")
    assert (fields["x-ratelimit-limit-tokens"], fields["x-kept"]) == ("10000", "yes")
    assert 9_870 <= int(fields["x-ratelimit-remaining-tokens"]) < 9_900
    assert fields["x-ratelimit-reset-tokens"] in ("1m0s", "1m1s")
    relay.records(1)
    assert given_out(relay, "tokens_per_minute") == [16]


def test_without_limits_the_upstreams_headers_pass(world: World) -> None:
    def play(line: Line) -> None:
        line.read_request()
        line.send(answer(b"{}", "x-ratelimit-remaining-tokens: 99999"))

    relay = world.relay(world.upstream(play))
    assert ask(relay, deployment="faulty").fields["x-ratelimit-remaining-tokens"] == "99999"
    relay.records(1)


@pytest.mark.parametrize(
    "body",
    [
        b'{"messages":[],"max_tokens":-1}',
        b'{"messages":[],"max_tokens":1000000000}',
        b'{"messages":[],"max_completion_tokens":1e300,"n":1000000000}',
        b'{"messages":[],"max_tokens":"many","n":-3,"metadata":"none"}',
        b'{"messages":[],"max_tokens":null,"n":true,"metadata":{"session_id":{"a":1}}}',
        b'{"messages":[],"max_tokens":1,"max_tokens":2}',
    ],
)
def test_whatever_a_caller_says_of_its_answer_it_is_settled_by_what_was_used(world: World, body: bytes) -> None:
    relay = limited(world, per=("caller", "session"), tokens_per_month=HUGE, requests_per_minute=50)
    ask(relay, body=body)
    (record,) = relay.records(1)
    assert given_out(relay, "tokens_per_month") == [record.usage.total_tokens]


def test_sessions_are_counted_apart_by_a_header_or_by_metadata(world: World) -> None:
    relay = limited(world, per=("session",), requests_per_minute=1)
    named = MESSAGES + b',"metadata":{"session_id":"agent-2"}}'
    statuses = [
        ask(relay, "X-Session-Id: agent-1").status,
        ask(relay, "X-Session-Id: agent-1").status,
        ask(relay, body=named).status,
        ask(relay, body=named).status,
    ]
    assert statuses == [200, 429, 200, 429]
    relay.records(4)


def test_thousands_of_session_names_share_what_is_left(world: World) -> None:
    relay = limited(world, per=("session",), requests_per_day=1000)
    limits = relay.process.data_plane.services.limits
    assert limits is not None
    limits.limiter._most = 50
    with RawClient(relay.address) as client:
        for number in range(200):
            client.send(chat_request(PLAIN, f"X-Session-Id: {number}"))
            assert client.read_answer().status == 200
    relay.records(200)
    assert sorted(given_out(relay, "requests_per_day")) == [*[1] * 50, 150]


def test_a_client_that_vanishes_frees_its_place_and_pays_what_it_used(world: World) -> None:
    def play(line: Line) -> None:
        line.read_request()
        line.send(STREAM_HEAD + chunked(frame("a word"), USAGE))
        line.wait_closed()

    relay = limited(world, world.upstream(play), concurrent_calls=1, tokens_per_day=HUGE)
    with RawClient(relay.address) as client:
        client.send(chat_request(deployment="faulty", stream=True))
        client.read_head()
        client.read_chunk()
        refused = ask(relay)
        assert (refused.status, refused.fields["retry-after"]) == (429, "2")
    records = relay.records(2)
    assert {record.outcome for record in records} == {"refused", "client_gone"}
    assert given_out(relay, "concurrent_calls") == [0]
    assert given_out(relay, "tokens_per_day") == [sum(record.usage.total_tokens for record in records)]
    assert ask(relay).status == 200
    relay.records(3)


def test_what_never_reached_an_upstream_counts_for_nothing(world: World) -> None:
    relay = limited(world, "http://127.0.0.1:9", requests_per_minute=100, tokens_per_day=HUGE, concurrent_calls=1)
    for _ in range(3):
        assert ask(relay, deployment="faulty").status == 502
        assert ask(relay, deployment="not-there").status == 404
    relay.records(6)
    assert [given_out(relay, one) for one in ("requests_per_minute", "tokens_per_day", "concurrent_calls")] == [
        [0],
        [0],
        [0],
    ]


def test_an_error_of_the_upstream_uses_a_request_and_no_tokens(world: World) -> None:
    relay = limited(world, requests_per_minute=100, tokens_per_day=HUGE)
    assert ask(relay, script=Script(status=500)).status == 500
    relay.records(1)
    assert (given_out(relay, "requests_per_minute"), given_out(relay, "tokens_per_day")) == ([1], [0])


def test_an_answer_that_tells_no_usage_counts_by_its_estimate(world: World) -> None:
    relay = limited(world, tokens_per_day=HUGE)
    assert ask(relay, script=Script(usage="withheld")).status == 200
    (record,) = relay.records(1)
    assert record.usage.source == "estimated"
    assert given_out(relay, "tokens_per_day") == [record.usage.total_tokens] != [0]


def test_a_stream_past_its_budget_is_ended_with_an_error_event_where_that_is_configured(world: World) -> None:
    goes_on = threading.Event()

    def play(line: Line) -> None:
        line.read_request()
        line.send(STREAM_HEAD + chunked(*[frame("word ") for _ in range(60)]))
        goes_on.wait(20)
        line.wait_closed()

    relay = world.relay(
        world.upstream(play),
        limits=[LimitSettings("test", LimitAmounts(tokens_per_day=5100, on_overrun="end"))],
        admission=AdmissionSettings(output_tokens=10),
    )
    limits = relay.process.data_plane.services.limits
    assert limits is not None
    with RawClient(relay.address) as client:
        client.send(chat_request(deployment="faulty", stream=True))
        assert client.read_head()[0] == 200
        seen = b""
        while seen.count(b"word") < 60:
            seen += client.read_chunk()
        left = 5100 - given_out(relay, "tokens_per_day")[0]
        moment = relay.clock.now().timestamp()
        taken = relay.inside(lambda: limits.limiter.admit("x", (), "", "", "", left, 0, 0.0, moment))
        relay.jump(1.0)
        event = client.read_chunk()
        told = json.loads(event.partition(b"data: ")[2])
        assert event.startswith(b"event: error\n")
        assert told["error"]["code"] == "quota_exceeded"
        assert client.read_chunk() == b""  # the answer is whole for its client
        relay.inside(lambda: limits.limiter.settle(taken, 0, 0.0, has_run=True))
    goes_on.set()
    record = relay.record()
    assert (record.outcome, record.error_code, record.usage.source) == ("aborted", "quota_exceeded", "estimated")
    assert given_out(relay, "tokens_per_day") == [record.usage.total_tokens]


BUDGET = LimitSettings("team", LimitAmounts(cost_per_month=Money.parse("0.05 EUR")))
EURO = PriceSettings("gpt-4o*", "EUR", Price("2.50"), Price("10"))


def test_a_budget_is_settled_with_what_the_call_cost_and_refuses_what_may_cost_more_than_is_left(world: World) -> None:
    relay = world.relay(limits=[BUDGET], prices=[EURO])
    body = MESSAGES + b',"max_tokens":400}'
    assert ask(relay, body=body).status == 200
    (record,) = relay.records(1)
    cost = PriceList([EURO]).priced(record).cost
    assert cost is not None
    (spent,) = given_out(relay, "cost_per_month")
    assert cost <= Decimal(spent) / NANO < cost + Decimal("1e-9")
    refused = ask(relay, body=MESSAGES + b',"max_tokens":10000}')
    assert (refused.status, refused.error["code"]) == (403, "quota_exceeded")
    assert "0.05 EUR cost per month (team)" in str(refused.error["message"])
    relay.records(2)


def test_a_call_without_a_price_is_not_refused_by_a_budget(world: World) -> None:
    other = PriceSettings("another-model", "EUR", Price("2.50"), Price("10"))
    relay = world.relay(limits=[BUDGET], prices=[other])
    assert ask(relay).status == 200
    relay.records(1)
    assert given_out(relay, "cost_per_month") == [0]


def test_each_response_on_a_websocket_counts_when_it_is_told(world: World) -> None:
    done = event_frame(
        type="response.done",
        response={"id": "resp_1", "status": "completed", "usage": {"input_tokens": 3, "output_tokens": 4}},
    )

    def play(line: Line) -> None:
        line.read_head()
        line.send(SWITCHED + b"\r\n" + done)
        line.wait_closed()

    relay = limited(world, world.upstream(play), tokens_per_day=HUGE, concurrent_calls=5)
    with opened(relay, asks("/openai/v1/realtime?model=faulty")):
        relay.records(1)
        assert (given_out(relay, "tokens_per_day"), given_out(relay, "concurrent_calls")) == ([7], [1])
    relay.records(2)
    assert (given_out(relay, "tokens_per_day"), given_out(relay, "concurrent_calls")) == ([7], [0])
