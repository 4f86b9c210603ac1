"""A gateway that keeps no ledger, as one of many whose records are collected elsewhere."""

import time
from pathlib import Path

import httpx

from tokenweir.delivery import BrokerMessage, MessageBatch
from tokenweir.delivery.sources import Reassembler
from tokenweir.serve.gateway_process import free_port, running_gateway
from tokenweir.simulator import HostedSimulator


def test_calls_go_to_the_sink_and_to_no_ledger(tmp_path: Path, sim: HostedSimulator) -> None:
    data, admin = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    events = tmp_path / "events.jsonl"
    file = tmp_path / "tokenweir.toml"
    file.write_text(
        f"""
[server]
data = "{data}"
admin = "{admin}"
[[upstreams]]
name = "sim"
endpoint = "{sim.url}"
credential = {{ key = "upstream-key" }}
[[sinks]]
name = "events"
kind = "file"
connection = {{ path = "{events}" }}
"""
    )
    without = {"TOKENWEIR_LEDGER__URL": "none"}
    with running_gateway(file, data, admin, log=tmp_path / "log", directory=tmp_path, environ=without) as gateway:
        url = f"{gateway.url}/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"
        answer = httpx.post(url, headers={"api-key": "k"}, json={"messages": [{"role": "user", "content": "Hello"}]})
        while not events.exists() or not events.read_bytes().endswith(b"\n"):
            time.sleep(0.01)
        ready = httpx.get(f"{gateway.admin_url}/readyz").json()
        refused = httpx.get(f"{gateway.admin_url}/api/usage")
        counted = httpx.get(f"{gateway.admin_url}/metrics").text

    # The event is what a consumer makes a record of.
    batch = MessageBatch(
        partition="file", position="1", messages=[BrokerMessage(body=events.read_bytes(), place="line 1")]
    )
    [record] = Reassembler().take(batch).records
    assert record.call_id == answer.headers["x-tokenweir-call-id"]
    assert record.usage.total_tokens == answer.json()["usage"]["total_tokens"] > 0
    said = {check["name"]: check["message"] for check in ready["checks"]}
    assert said["ledger"] == "none is kept here; records go to the sinks"
    assert (refused.status_code, refused.json()["error"]["code"]) == (501, "no_ledger")
    assert 'tokenweir_calls_total{caller="anonymous"' in counted
    assert not list(tmp_path.rglob("*.duckdb"))
