"""A whole gateway whose books are killed while jobs run: each job is in the ledger once, and nobody had asked."""

import contextlib
import json
from pathlib import Path
from typing import Any

import httpx
from openai import OpenAI

from support.whole_gateway import WholeGateway, kill_books, whole_gateway
from tokenweir.simulator import HostedSimulator, Script

SETTINGS = """
[jobs]
first = "200ms"
longest = "300ms"

[[sinks]]
name = "file"
kind = "file"
connection = {{ path = "{folder}/events.jsonl" }}
"""


def jobs_in_ledger(gateway: WholeGateway, count: int) -> list[dict[str, Any]]:
    """The records of jobs, once there are so many; the admin port is away while its process is."""
    while True:
        with contextlib.suppress(httpx.HTTPError, json.JSONDecodeError):
            calls = httpx.get(f"{gateway.admin_url}/api/calls?limit=1000").json()
            jobs = [call for call in calls if "made_by" in (call.get("job") or {})]
            if len(jobs) >= count:
                return jobs


def test_each_job_is_billed_once_whatever_happens_to_the_books(sim: HostedSimulator, tmp_path: Path) -> None:
    with whole_gateway(tmp_path, sim.url, SETTINGS.format(folder=tmp_path)) as gateway:
        client = OpenAI(base_url=f"{gateway.url}/openai/v1", api_key="any", max_retries=0)
        ids = []
        for number in range(12):
            script = Script(output_tokens=number + 1, polls=number % 3)
            made = client.responses.create(
                model="gpt-5", input=f"Hi {number}", background=True, extra_headers=script.headers()
            )
            ids.append(made.id)
            if number % 4 == 3:
                kill_books(tmp_path)
                jobs_in_ledger(gateway, number - 2)
        never = client.responses.create(
            model="gpt-5", input="Hi", background=True, extra_headers=Script(polls=1_000_000).headers()
        )
        client.close()

        billed = jobs_in_ledger(gateway, 12)
        assert sorted(call["job_id"] for call in billed) == sorted(ids)
        charged = [call for call in sim.calls if call.completion_tokens]
        assert sum(call["output_tokens"] for call in billed) == sum(call.completion_tokens for call in charged) == 78
        assert sum(call["input_tokens"] for call in billed) == sum(call.prompt_tokens for call in charged)

        (line,) = gateway.tokenweir("jobs", "--json").splitlines()
        assert (json.loads(line)["job"], json.loads(line)["kind"]) == (never.id, "response")
        assert never.id in gateway.tokenweir("jobs")
        assert 'tokenweir_jobs_open{kind="response"} 1.0' in httpx.get(f"{gateway.admin_url}/metrics").text
    assert json.loads(gateway.tokenweir("jobs", "--json"))["job"] == never.id
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    sent = {event["call_id"]: event for event in events if "made_by" in (event.get("job") or {})}
    assert sorted(event["job_id"] for event in sent.values()) == sorted(ids)
