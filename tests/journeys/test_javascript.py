"""The official SDK for JavaScript through the gateway: what it was told is what the record says was used."""

import json
import subprocess
from pathlib import Path
from typing import Any

from support.node_packages import installed
from support.relay_thread import KEY, RelayThread
from tokenweir.records import CallRecord
from tokenweir.simulator import HostedSimulator

PROGRAM = Path(__file__).with_name("javascript_sdk.mjs")


def told_tokens(usage: dict[str, Any]) -> tuple[int, int]:
    names = ("prompt_tokens", "completion_tokens") if "prompt_tokens" in usage else ("input_tokens", "output_tokens")
    return usage[names[0]], usage.get(names[1], 0)


def used_tokens(record: CallRecord) -> tuple[int, int]:
    assert record.usage.source == "reported"
    return record.usage.input_tokens, record.usage.output_tokens


def test_what_the_javascript_sdk_is_told_is_recorded(relay: RelayThread, sim: HostedSimulator) -> None:
    node, modules = installed("openai-js", "openai@7", "the SDK for JavaScript is not tried")
    ran = subprocess.run([node, PROGRAM, modules, relay.url, KEY], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    told = {line["what"]: line["usage"] for line in map(json.loads, ran.stdout.splitlines())}

    chat, streamed, call, response, events, embeddings, heard, *others = relay.records(9)
    left, refused = sorted(others, key=lambda record: record.started_at)
    assert told_tokens(told["chat"]) == used_tokens(chat)
    assert told_tokens(told["streamed chat"]) == used_tokens(streamed)
    assert (streamed.usage.output_tokens, streamed.usage.reasoning_tokens) == (37, 4)
    assert told_tokens(told["tools"]) == used_tokens(call)
    assert told_tokens(told["response"]) == used_tokens(response)
    assert told_tokens(told["streamed response"]) == used_tokens(events)
    assert told_tokens(told["embeddings"]) == used_tokens(embeddings)
    assert told_tokens(told["transcription"]) == used_tokens(heard)
    assert (left.outcome, left.usage.source, left.usage.output_tokens) == ("client_gone", "estimated", 5 * 3)
    assert (refused.outcome, refused.status) == ("upstream_error", 429)
    sold = [(sent.prompt_tokens, sent.completion_tokens) for sent in sim.wait_for_calls(9) if sent.usage_sent]
    assert sorted(sold) == sorted(used_tokens(record) for record in relay.records(9)[:7])
