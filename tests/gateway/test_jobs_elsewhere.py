"""With several upstreams, a job is found at the one that has it."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from support.relay_thread import KEY, RelayThread, running_relay
from support.scripted import Line, Play, scripted
from tokenweir.upstream import CredentialSettings, UpstreamSettings


def answering(status: int, told: dict[str, Any]) -> Play:
    body = json.dumps(told).encode()

    def play(line: Line) -> None:
        while True:
            line.read_request()
            line.send(b"HTTP/1.1 %d x\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body))

    return play


def hanging_up(line: Line) -> None:
    line.read_request()


@pytest.fixture
def relay(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[RelayThread]:
    with ExitStack() as stack:
        urls = [stack.enter_context(scripted(play)).url for play in request.param]
        named = [UpstreamSettings(f"up-{n}", url, CredentialSettings(key="k")) for n, url in enumerate(urls)]
        yield stack.enter_context(running_relay(tmp_path, named))


FOUND = {"id": "resp_1", "object": "response", "background": True, "status": "queued"}


def asked(relay: RelayThread, method: str = "GET", path: str = "/openai/v1/responses/resp_1") -> int:
    connection = HTTPConnection(*relay.address)
    connection.request(method, path, None, {"api-key": KEY})
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.mark.parametrize("relay", [[answering(404, {}), answering(200, FOUND)]], indirect=True)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_job_is_found_where_it_was_made(relay: RelayThread, method: str) -> None:
    assert asked(relay, method) == 200
    record = relay.record()
    assert (record.backend, record.attempts, record.job_id) == ("up-1", 2, "resp_1")


@pytest.mark.parametrize("relay", [[answering(404, {}), answering(404, {})]], indirect=True)
def test_what_nobody_has_is_not_found(relay: RelayThread) -> None:
    assert asked(relay) == 404
    assert relay.record().attempts == 2


@pytest.mark.parametrize("relay", [[answering(503, {}), answering(404, {})]], indirect=True)
def test_who_is_ill_may_have_it(relay: RelayThread) -> None:
    assert asked(relay) == 503


@pytest.mark.parametrize("relay", [[hanging_up, answering(404, {})]], indirect=True)
def test_who_cannot_be_reached_may_have_it(relay: RelayThread) -> None:
    assert asked(relay) == 502
    assert relay.record().outcome == "upstream_error"


@pytest.mark.parametrize("relay", [[answering(404, {}), answering(200, FOUND)]], indirect=True)
def test_files_and_new_jobs_go_to_the_first_alone(relay: RelayThread) -> None:
    assert asked(relay, path="/openai/v1/files") == 404
    assert asked(relay, "POST", "/openai/v1/batches") == 404
