"""Calls through ``tokenweir serve`` arrive at a sink, while it runs, after it was down, and across a restart."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import AzureOpenAI

from support.amqp.emulator import running_event_hubs
from tokenweir.serve.gateway_process import GatewayProcess, free_port, running_gateway
from tokenweir.simulator import HostedSimulator

MESSAGES: Any = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def serve(tmp_path: Path, sim: HostedSimulator) -> Iterator[Callable[[str], Any]]:
    """Starts a gateway with these sinks; journal and ledger stay from one to the next."""

    def start(sinks: str, journal: str = "") -> Any:
        data, admin = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
        file = tmp_path / "tokenweir.toml"
        file.write_text(
            f"""
[server]
data = "{data}"
admin = "{admin}"
keys = "{tmp_path}/keys.json"
shutdown_grace = "3s"
[journal]
directory = "{tmp_path}/journal"
content = "full"
{journal}
[ledger]
url = "duckdb:{tmp_path}/ledger.duckdb"
[[upstreams]]
name = "sim"
endpoint = "{sim.url}"
credential = {{ key = "upstream-key" }}
{sinks}
"""
        )
        return running_gateway(file, data, admin, log=tmp_path / "log", directory=tmp_path)

    yield start


def file_sink(name: str, path: Path, **settings: str) -> str:
    lines = "".join(f'{key} = "{value}"\n' for key, value in settings.items())
    return f'[[sinks]]\nname = "{name}"\nkind = "file"\nconnection = {{ path = "{path}" }}\n{lines}\n'


def call(gateway: GatewayProcess, stream: bool = False) -> None:
    with AzureOpenAI(azure_endpoint=gateway.url, api_key="any", api_version="2024-10-21", max_retries=0) as client:
        answer = client.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=stream)
        if stream:
            list(answer)


def events(path: Path, count: int) -> list[dict[str, Any]]:
    """So many events of a file, as soon as they are there; the test's timeout is the only limit."""
    while not path.exists() or path.read_bytes().count(b"\n") < count:
        time.sleep(0.01)
    return [json.loads(line) for line in path.read_text().splitlines()]


def statuses(gateway: GatewayProcess) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in httpx.get(f"{gateway.admin_url}/api/sinks").json()}


def test_each_call_is_an_event_in_every_sink_in_its_shape(serve: Callable[[str], Any], tmp_path: Path) -> None:
    proxy, whole, apim = (tmp_path / f"{name}.jsonl" for name in ("proxy", "whole", "apim"))
    sinks = (
        file_sink("proxy", proxy, shape="sse-proxy") + file_sink("whole", whole) + file_sink("a", apim, shape="apim")
    )
    with serve(sinks) as gateway:
        call(gateway, stream=True)
        call(gateway)
        stream, plain = events(proxy, 2)
        records = events(whole, 2)
        logged = events(apim, 2)
        while any(one["behind_bytes"] for one in statuses(gateway).values()):
            time.sleep(0.01)  # the cursor moves when the events are in the file
        told = statuses(gateway)
        ledger = httpx.get(f"{gateway.admin_url}/api/calls").json()

    assert (stream["type"], plain["type"]) == ("stream_completion", "completion")
    assert stream["content"] and stream["prompt"] == MESSAGES and stream["usage"]["total_tokens"] > 0
    assert stream["usage_source"] == "reported"
    assert 0 <= stream["latency_ms"] - stream["time_to_first_chunk_ms"] - stream["streaming_duration_ms"] <= 1
    assert json.loads(records[1]["response_body"])["choices"][0]["message"]["content"] == plain["content"]
    assert [one["apiOperation"] for one in logged] == ["ChatCompletion"] * 2
    assert (
        {one["call_id"] for one in ledger} == {one["call_id"] for one in records} == {one["callId"] for one in logged}
    )
    assert (told["proxy"]["sent"], told["proxy"]["behind_bytes"], told["proxy"]["failing_since"]) == (2, 0, None)


def test_a_sink_that_cannot_be_written_holds_up_nothing_and_catches_up(
    serve: Callable[[str], Any], tmp_path: Path
) -> None:
    good, blocked = tmp_path / "good.jsonl", tmp_path / "blocked.jsonl"
    blocked.mkdir()
    with serve(file_sink("good", good) + file_sink("blocked", blocked)) as gateway:
        call(gateway)
        events(good, 1)
        told = statuses(gateway)
        ready = httpx.get(f"{gateway.admin_url}/readyz").status_code
    blocked.rmdir()
    with serve(file_sink("good", good) + file_sink("blocked", blocked)) as gateway:
        call(gateway)
        late = events(blocked, 2)

    assert told["blocked"]["failing_since"] and "cannot be written" in told["blocked"]["last_error"]
    assert told["blocked"]["behind_bytes"] > 0
    assert ready == 200
    assert [one["call_id"] for one in late] == [one["call_id"] for one in events(good, 2)]


def test_what_was_called_last_is_sent_before_the_end(serve: Callable[[str], Any], tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with serve(file_sink("file", path)) as gateway:
        for _ in range(3):
            call(gateway)
        gateway.stop()

    assert len(events(path, 3)) == 3


def test_a_sink_added_later_begins_with_what_the_journals_still_hold(
    serve: Callable[[str], Any], tmp_path: Path
) -> None:
    path = tmp_path / "events.jsonl"
    with serve("") as gateway:
        call(gateway)
        httpx.get(f"{gateway.admin_url}/api/usage")
    with serve(file_sink("file", path)) as gateway:
        call(gateway)
        first, second = events(path, 2)

    assert first["call_id"] < second["call_id"]


def test_a_switched_over_proxy_function_finds_its_events_in_its_hub(sim: HostedSimulator, tmp_path: Path) -> None:
    data, admin = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    with running_event_hubs() as hubs:
        environ = {
            "AZURE_OPENAI_BASE_URL": sim.url,
            "AZURE_OPENAI_KEY": "upstream-key",
            "AZURE_OPENAI_API_VERSION": "2024-10-21",
            "AZURE_EVENTHUB_CONN_STR": hubs.connection_string(),
            "AZURE_EVENTHUB_NAME": "llm",
            "TOKENWEIR_SERVER__DATA": data,
            "TOKENWEIR_SERVER__ADMIN": admin,
            "TOKENWEIR_SERVER__SHUTDOWN_GRACE": "3s",
        }
        with running_gateway(None, data, admin, log=tmp_path / "log", environ=environ, directory=tmp_path) as gateway:
            call(gateway, stream=True)
            call(gateway)
            hubs.until(lambda: sum(map(len, hubs.received("llm").values())) == 2)
            told = statuses(gateway)
        received = [json.loads(one.body) for partition in hubs.received("llm").values() for one in partition]

    assert {one["type"] for one in received} == {"stream_completion", "completion"}
    assert all(one["prompt"] == MESSAGES and one["content"] for one in received)
    assert list(told) == ["event-hub"]
    assert "SharedAccessKey=" not in (tmp_path / "log").read_text()


def test_an_answer_ends_when_its_event_is_with_the_sink_where_the_disk_may_go_with_the_machine(
    serve: Callable[..., Any], tmp_path: Path
) -> None:
    file = tmp_path / "events.jsonl"
    with serve(file_sink("lines", file), 'durability = "shipped"\nship_timeout = "20s"') as gateway:
        for number in range(1, 4):
            call(gateway, stream=number == 2)
            assert len(file.read_bytes().splitlines()) == number
