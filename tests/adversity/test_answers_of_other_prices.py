"""Days on which an answer has its own price: another tier, a spilled call, tools and a cache that is written to."""

import json
from typing import Any

from support.raw_client import RawClient, chat_request
from support.streams import answer
from support.world import World, on_both_hosts
from tokenweir.records import CallRecord

from .test_upstream_sends_nonsense import play_once

CHAT: dict[str, Any] = {
    "id": "c1",
    "model": "gpt-5.6-2026-07-01",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
}


def record_of(world: World, told: bytes) -> CallRecord:
    relay = world.relay(world.upstream(play_once(told)))
    with RawClient(relay.address) as client:
        client.send(chat_request(deployment="faulty"))
        client.read_answer()
    return relay.record()


@on_both_hosts
def test_what_was_written_to_the_cache_and_the_tier_are_in_the_record(world: World) -> None:
    details = {"cached_tokens": 0, "cache_write_tokens": 2217}
    usage = {"prompt_tokens": 2219, "completion_tokens": 10, "total_tokens": 2229, "prompt_tokens_details": details}
    record = record_of(world, answer(json.dumps(CHAT | {"usage": usage, "service_tier": "priority"}).encode()))
    assert (record.usage.input_tokens, record.usage.cache_write_tokens, record.usage.output_tokens) == (2219, 2217, 10)
    assert record.service_tier == "priority"


@on_both_hosts
def test_who_served_a_call_that_was_spilled_over_is_in_the_record(world: World) -> None:
    lines = b"x-ms-deployment-name: gpt-paygo\r\nx-ms-spillover-from-deployment: gpt-ptu\r\n"
    told = answer(json.dumps(CHAT | {"usage": {"prompt_tokens": 1, "completion_tokens": 1}}).encode())
    record = record_of(world, told.replace(b"\r\n", b"\r\n" + lines, 1))
    assert (record.served_deployment, record.spillover_from) == ("gpt-paygo", "gpt-ptu")
