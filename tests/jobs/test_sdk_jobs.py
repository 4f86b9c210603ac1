"""The official SDK makes jobs through a gateway, and each is billed once, to whoever made it, whoever looked at it."""

import json
from decimal import Decimal
from pathlib import Path

import pytest
from openai import OpenAI

from jobs.conftest import JobsBench
from support.relay_thread import RelayThread
from tokenweir.pricing import PriceList
from tokenweir.pricing.settings import Price, PriceSettings
from tokenweir.records import Quantity, Usage
from tokenweir.simulator import HostedSimulator, Script

SOON = Script(output_tokens=7, polls=0).headers()


def test_a_response_in_the_background_that_nobody_asks_for_is_billed_by_our_own_question(
    client: OpenAI, relay: RelayThread, bench: JobsBench, sim: HostedSimulator
) -> None:
    made = client.responses.create(model="gpt-5", input="Hi", background=True, extra_headers=SOON)
    record = relay.record()
    assert record.usage == Usage(reason="later")

    assert bench.look() == []
    (billed,) = bench.look(10)
    assert bench.look(3600) == [billed]
    assert (billed.job_id, billed.response_id) == (made.id, made.id)
    assert (billed.usage.source, billed.usage.output_tokens) == ("reported", 7)
    assert (billed.caller, billed.key_id, billed.tags) == (record.caller, record.key_id, record.tags)
    assert (billed.deployment, billed.backend, billed.method) == ("gpt-5", "sim", "")
    assert billed.job is not None
    assert (billed.job["made_by"], billed.job["seen_by"]) == (record.call_id, "poll")
    charged = sum(call.prompt_tokens + call.completion_tokens for call in sim.calls)
    assert billed.usage.total_tokens == charged


def test_who_asks_first_has_it_billed_to_whoever_made_it(client: OpenAI, relay: RelayThread, bench: JobsBench) -> None:
    made = client.responses.create(model="gpt-5", input="Hi", background=True, extra_headers=SOON)
    for _ in range(3):
        assert client.responses.retrieve(made.id).status == "completed"
    asked = relay.records(4)[1:]
    assert [record.usage for record in asked] == [Usage()] * 3
    (billed,) = bench.look()
    assert billed.usage.output_tokens == 7
    assert billed.job is not None
    assert billed.job["seen_by"] == asked[0].call_id


def test_a_stream_that_is_resumed_bills_the_response(client: OpenAI, relay: RelayThread, bench: JobsBench) -> None:
    made = client.responses.create(model="gpt-5", input="Hi", background=True, extra_headers=SOON)
    events = list(client.responses.retrieve(made.id, stream=True, starting_after=1))
    assert events[-1].type == "response.completed"
    assert relay.records(2)[1].usage == Usage()
    (billed,) = bench.look()
    assert (billed.job_id, billed.usage.output_tokens) == (made.id, 7)


def test_a_background_stream_to_its_end_is_one_record(client: OpenAI, relay: RelayThread, bench: JobsBench) -> None:
    with client.responses.stream(model="gpt-5", input="Hi", background=True, extra_headers=SOON) as stream:
        made = stream.get_final_response()
    client.responses.retrieve(made.id)
    first = relay.records(2)[0]
    assert (first.usage.source, first.usage.output_tokens, first.job_id) == ("reported", 7, made.id)
    assert bench.look(60) == []


def test_a_cancelled_response_is_asked_for_and_closed(client: OpenAI, relay: RelayThread, bench: JobsBench) -> None:
    made = client.responses.create(model="gpt-5", input="Hi", background=True, extra_headers=SOON)
    assert client.responses.cancel(made.id).status == "cancelled"
    relay.records(2)
    (billed,) = bench.look()
    assert billed.usage == Usage(reason="withheld")
    assert billed.job is not None
    assert billed.job["status"] == "cancelled"


def _batch(client: OpenAI, relay: RelayThread, tmp_path: Path, script: Script, lines: int = 4) -> str:
    asked = [
        {
            "custom_id": f"task-{number}",
            "method": "POST",
            "url": "/chat/completions",
            "body": {"model": "gpt-4o-batch", "messages": [{"role": "user", "content": f"Hello {number}"}]},
        }
        for number in range(lines)
    ]
    path = tmp_path / "batch.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in asked))
    file = client.files.create(file=path, purpose="batch")
    batch = client.batches.create(
        input_file_id=file.id,
        endpoint="/v1/chat/completions",
        completion_window="24h",
        extra_headers=script.headers(),
    )
    relay.records(2)
    return batch.id


@pytest.mark.parametrize("usage", ["auto", "withheld"])
def test_a_batch_is_billed_by_its_usage_or_by_the_lines_of_its_output(
    client: OpenAI, relay: RelayThread, bench: JobsBench, sim: HostedSimulator, tmp_path: Path, usage: str
) -> None:
    batch = _batch(client, relay, tmp_path, Script(output_tokens=5, polls=2, usage=usage))  # type: ignore[arg-type]
    assert bench.look() == []
    for _ in range(10):
        if records := bench.look(900):
            break
    (billed,) = records
    charged = [call for call in sim.calls if call.completion_tokens]
    assert sum(call.completion_tokens for call in charged) == billed.usage.output_tokens == 20
    assert sum(call.prompt_tokens for call in charged) == billed.usage.input_tokens
    assert (billed.job_id, billed.service_tier, billed.caller) == (batch, "batch", "team-a")
    assert (billed.api, billed.deployment) == ("chat_completions", "gpt-4o-batch")
    assert billed.response_model == "gpt-4o-2024-11-20"
    assert bench.look(86400) == [billed]


def test_what_its_tools_did_for_a_response_in_the_background_is_billed_with_it(
    client: OpenAI, relay: RelayThread, bench: JobsBench
) -> None:
    client.responses.create(
        model="gpt-5",
        input="Look",
        background=True,
        tools=[{"type": "web_search"}],
        extra_headers=Script(server_tool_calls=3, polls=0).headers(),
    )
    relay.records(1)
    bench.look()
    (billed,) = bench.look(10)
    assert billed.tool_calls == {"web_search_call": 3}
    assert billed.usage.quantities["web_searches"] == Quantity(3, "counted")


def test_a_batch_has_the_price_of_batches(client: OpenAI, relay: RelayThread, bench: JobsBench, tmp_path: Path) -> None:
    _batch(client, relay, tmp_path, Script(output_tokens=5, polls=0))
    (billed,) = bench.look(60)
    rows = [
        PriceSettings(model="gpt-4o*", currency="USD", input=Price(2), output=Price(10)),
        PriceSettings(model="gpt-4o*", currency="USD", input=Price(1), output=Price(5), service_tier="batch"),
    ]
    cost = PriceList(rows).priced(billed).cost
    assert cost == Decimal(billed.usage.input_tokens + 5 * billed.usage.output_tokens) / 1_000_000


def test_of_a_batch_that_is_cancelled_what_has_run_is_billed(
    client: OpenAI, relay: RelayThread, bench: JobsBench, tmp_path: Path
) -> None:
    batch = _batch(client, relay, tmp_path, Script(output_tokens=5, polls=2))
    assert client.batches.cancel(batch).status == "cancelled"
    relay.records(3)
    (billed,) = bench.look()
    assert billed.usage.output_tokens == 10


@pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")
def test_fine_tuning_and_videos_are_billed_in_their_own_units(
    client: OpenAI, bench: JobsBench, sim: HostedSimulator, relay: RelayThread, tmp_path: Path
) -> None:
    file = client.files.create(file=("train.jsonl", b"{}\n"), purpose="fine-tune")
    job = client.fine_tuning.jobs.create(model="gpt-4o-mini", training_file=file.id, extra_headers=SOON)
    video = client.videos.create(model="sora-2", prompt="a weir", seconds="8", extra_headers=SOON)
    remixed = client.videos.remix(video.id, prompt="at night", extra_headers=Script(polls=0).headers())
    assert client.videos.retrieve(remixed.id).status == "completed"
    assert client.videos.download_content(remixed.id).read()
    relay.records(6)
    bench.look()
    by_id = {record.job_id: record for record in bench.look(10)}
    assert by_id[job.id].usage.quantities == {"trained_tokens": Quantity(1000)}
    assert by_id[video.id].usage.quantities == {"output_video_seconds": Quantity(8)}
    assert by_id[remixed.id].usage.quantities == {"output_video_seconds": Quantity(8)}
    assert {record.caller for record in by_id.values()} == {"team-a"}
