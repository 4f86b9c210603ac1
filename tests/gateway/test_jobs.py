"""Calls that start something which goes on without them, and calls about it: what they used, and what is not theirs."""

import json
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from support.relay_thread import KEY, RelayThread, running_relay
from support.scripted import Line, scripted
from tokenweir.records import CallRecord, Usage

USAGE = {"input_tokens": 5, "output_tokens": 7, "total_tokens": 12}
DONE: dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "background": True,
    "created_at": 1790000000,
    "status": "completed",
    "model": "gpt-5",
    "service_tier": "flex",
    "output": [{"type": "web_search_call", "status": "completed"}, {"type": "message", "content": []}],
    "usage": USAGE,
}
QUEUED = {**DONE, "status": "queued", "output": [], "usage": None}
BATCH = {"id": "batch_1", "object": "batch", "status": "validating", "endpoint": "/v1/chat/completions", "errors": None}
VIDEO = {"id": "video_2", "object": "video", "status": "queued", "seconds": "4", "size": "720x1280"}

Sent = list[tuple[str, bytes]]


@pytest.fixture
def answers() -> Sent:
    """Content type and body of what the upstream answers, in this order."""
    return []


@pytest.fixture
def relay(tmp_path: Path, answers: Sent) -> Iterator[RelayThread]:
    def play(line: Line) -> None:
        while True:
            line.read_request()
            kind, body = answers.pop(0)
            line.send(b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n" % (kind.encode(), len(body)))
            line.send(body)

    with scripted(play) as upstream, running_relay(tmp_path, upstream.url) as relay:
        yield relay


def asked(
    relay: RelayThread, answers: Sent, method: str, path: str, answer: Any, outcome: str = "completed"
) -> CallRecord:
    """The record of a call that is answered so: by an object, or by the events of a stream."""
    if isinstance(answer, list):
        events = b"".join(b"event: %b\ndata: %b\n\n" % (e["type"].encode(), json.dumps(e).encode()) for e in answer)
        answers.append(("text/event-stream", events))
    else:
        answers.append(("application/json", json.dumps(answer).encode()))
    before = len(relay.records(0))
    connection = HTTPConnection(*relay.address)
    connection.request(method, path, b'{"model":"gpt-5"}' if method == "POST" else None, {"api-key": KEY})
    connection.getresponse().read()
    connection.close()
    (record,) = relay.records(before + 1)[before:]
    assert record.outcome == outcome
    return record


def events(*told: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"type": kind, "response": response} for kind, response in told]


def test_what_runs_in_the_background_is_billed_later_and_not_estimated(relay: RelayThread, answers: Sent) -> None:
    record = asked(relay, answers, "POST", "/openai/v1/responses", QUEUED)
    assert record.usage == Usage(reason="later")
    assert (record.job_id, record.response_id) == ("resp_1", "resp_1")
    assert record.job is not None
    assert record.job["status"] == "queued"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/openai/v1/responses/resp_1"),
        ("GET", "/openai/responses/resp_1?api-version=2025-04-01-preview"),
        ("POST", "/openai/v1/responses/resp_1/cancel"),
    ],
)
def test_who_looks_at_it_has_not_used_it_and_what_was_said_is_kept(
    relay: RelayThread, answers: Sent, method: str, path: str
) -> None:
    record = asked(relay, answers, method, path, DONE)
    assert (record.usage, record.tool_calls) == (Usage(), {})
    assert record.job_id == "resp_1"
    assert record.job == {name: DONE[name] for name in DONE if name != "output"} | {
        "tool_calls": {"web_search_call": 1},
        "counted": {"web_searches": 1},
    }


def test_a_stream_that_is_resumed_is_no_second_use(relay: RelayThread, answers: Sent) -> None:
    stream = events(("response.in_progress", {**QUEUED, "status": "in_progress"}), ("response.completed", DONE))
    record = asked(relay, answers, "GET", "/openai/v1/responses/resp_1?stream=true&starting_after=3", stream)
    assert record.usage == Usage()
    assert record.job is not None
    assert (record.job["status"], record.job["usage"]) == ("completed", USAGE)


def test_a_background_stream_to_its_end_tells_its_usage_there_and_then(relay: RelayThread, answers: Sent) -> None:
    stream = events(("response.created", QUEUED), ("response.completed", DONE))
    record = asked(relay, answers, "POST", "/openai/v1/responses", stream)
    assert (record.usage.source, record.usage.total_tokens) == ("reported", 12)
    assert record.job_id == "resp_1"


def test_a_background_stream_that_is_cut_goes_on_and_is_not_estimated(relay: RelayThread, answers: Sent) -> None:
    cut = events(("response.created", QUEUED), ("response.in_progress", {**QUEUED, "status": "in_progress"}))
    record = asked(relay, answers, "POST", "/openai/v1/responses", cut, "upstream_broken")
    assert record.usage == Usage(reason="later")
    assert record.job_id == "resp_1"


def test_a_stored_response_that_never_ran_in_the_background_is_no_job(relay: RelayThread, answers: Sent) -> None:
    record = asked(relay, answers, "GET", "/openai/v1/responses/resp_1", {**DONE, "background": False})
    assert (record.usage, record.job) == (Usage(), None)


def test_other_jobs_say_what_they_are(relay: RelayThread, answers: Sent) -> None:
    made = asked(relay, answers, "POST", "/openai/batches?api-version=2025-03-01-preview", BATCH)
    assert (made.usage, made.job_id) == (Usage(reason="later"), "batch_1")
    assert made.job == {name: BATCH[name] for name in BATCH if name != "errors"}
    seen = asked(relay, answers, "GET", "/openai/v1/batches/batch_1", {**BATCH, "status": "completed", "usage": USAGE})
    assert (seen.usage, seen.job and seen.job["usage"]) == (Usage(), USAGE)


def test_a_job_that_is_made_of_another_one_is_the_callers_own(relay: RelayThread, answers: Sent) -> None:
    record = asked(relay, answers, "POST", "/openai/v1/videos/video_1/remix", VIDEO)
    assert (record.usage, record.job_id) == (Usage(reason="later"), "video_2")
