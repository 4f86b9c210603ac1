"""Replicas that share a volume: each has a place of its own, and nothing that one leaves behind is lost."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from support.webhook_receiver import receiving
from tokenweir.journal import bytes_behind
from tokenweir.serve.gateway_process import free_port
from tokenweir.simulator import running_simulator

SCRIPT = Path(__file__).resolve().parents[2] / "deploy/container/in_a_place.py"


class Replica:
    def __init__(self, process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
        self.process = process
        self.url = url
        self.log = log

    def call(self) -> str:
        """The id of a call that was answered."""
        url = f"{self.url}/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"
        answer = httpx.post(url, headers={"api-key": "k"}, json={"messages": [{"role": "user", "content": "Hello"}]})
        assert answer.status_code == 200
        return answer.headers["x-tokenweir-call-id"]

    def vanish(self) -> None:
        """As when its machine goes: every process at once, without a chance to finish anything."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def settings(upstream: str, hook: str) -> dict[str, str]:
    sink = {"name": "hook", "kind": "webhook", "connection": {"url": hook, "timeout": "1s"}}
    return {
        "PATH": os.environ["PATH"],
        "TOKENWEIR_LEDGER__URL": "none",
        "TOKENWEIR_JOURNAL__DURABILITY": "strict",
        "TOKENWEIR_UPSTREAMS": json.dumps([{"name": "sim", "endpoint": upstream, "credential": {"key": "k"}}]),
        "TOKENWEIR_SINKS": json.dumps([sink]),
    }


@contextmanager
def replica(places: Path, environ: dict[str, str], log: Path) -> Iterator[Replica]:
    data, admin = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    addresses = {"TOKENWEIR_SERVER__DATA": data, "TOKENWEIR_SERVER__ADMIN": admin}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, SCRIPT, "serve", places],
            env={**environ, **addresses},
            stderr=output,
            start_new_session=True,
        )
    running = Replica(process, f"http://{data}", log)
    try:
        while not is_ready(admin):
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
        yield running
    finally:
        if process.poll() is None:
            running.vanish()


def is_ready(admin: str) -> bool:
    try:
        return httpx.get(f"http://{admin}/readyz").status_code == 200
    except httpx.HTTPError:
        return False


def test_what_a_replica_that_vanished_has_left_is_sent_on(tmp_path: Path) -> None:
    places = tmp_path / "places"
    with running_simulator() as sim:
        nowhere = settings(sim.url, f"http://127.0.0.1:{free_port()}/calls")
        with replica(places, nowhere, tmp_path / "log") as gone:
            called = gone.call()
            journal = places / "0/tokenweir-data/journal/relay-0"
            assert bytes_behind(journal, "sink-hook") > 0
            gone.vanish()

        assert run(tmp_path / "nothing here", nowhere) == 0

        async def received() -> list[str]:
            async with receiving() as receiver:
                code = await asyncio.to_thread(run, places, settings(sim.url, receiver.url))
                assert code == 0
                bodies = [json.loads(delivery.body) for delivery in receiver.deliveries]
                return [event["call_id"] for body in bodies for event in body]

        assert asyncio.run(received()) == [called]
        assert bytes_behind(journal, "sink-hook") == 0


def test_each_is_in_a_place_of_its_own_and_the_next_takes_the_first_that_is_free(tmp_path: Path) -> None:
    with running_simulator() as sim:
        environ = settings(sim.url, f"http://127.0.0.1:{free_port()}/calls")
        with replica(tmp_path, environ, tmp_path / "a") as first, replica(tmp_path, environ, tmp_path / "b") as second:
            assert [place_of(first), place_of(second)] == ["0", "1"]
            first.vanish()
            with replica(tmp_path, environ, tmp_path / "c") as third:
                assert place_of(third) == "0"


def test_a_place_that_somebody_is_in_is_left_alone(tmp_path: Path) -> None:
    """Two that send on the same journal would send it twice."""
    with running_simulator() as sim:
        environ = settings(sim.url, f"http://127.0.0.1:{free_port()}/calls")
        with replica(tmp_path, environ, tmp_path / "log") as running:
            running.call()
            assert run(tmp_path, environ) == 0
            running.call()


@pytest.mark.parametrize("arguments", [[], ["serve"], ["somewhere", "else"]])
def test_who_says_something_else_is_told_what_there_is(arguments: list[str]) -> None:
    done = subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, "in_a_place.py serve PLACES | leftovers PLACES\n")


def run(places: Path, environ: dict[str, str]) -> int:
    """The exit code of a look for what is left."""
    return subprocess.run(
        [sys.executable, SCRIPT, "leftovers", places], env=environ, timeout=60, check=False
    ).returncode


def place_of(replica: Replica) -> str:
    first = replica.log.read_text().splitlines()[0]
    return first.removeprefix("in place ").partition(" ")[0]
