"""A real gateway that the system allows 64 descriptors, and strangers who hold a hundred connections to it."""

import os
import socket
import threading
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from support.under_load import CHAT, config_file, records_of
from tokenweir.serve.gateway_process import running_gateway
from tokenweir.simulator import running_simulator

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

DESCRIPTORS = 64
STRANGERS = 100
CALLS = 40
ASKED = {"messages": [{"role": "user", "content": "What does a weir do?"}]}


def hold_connections(address: tuple[str, int], stop: threading.Event) -> None:
    """Keeps a hundred silent connections open, and opens others for those that were closed."""
    held: list[socket.socket] = []
    while not stop.is_set():
        with suppress(OSError):
            held.append(socket.create_connection(address, 5))
        if len(held) >= STRANGERS:
            stop.wait(0.05)
            for stranger in held[:10]:
                stranger.close()
            del held[:10]
    for stranger in held:
        stranger.close()


def descriptors_of(pid: int) -> set[int]:
    return {int(name) for name in os.listdir(f"/proc/{pid}/fd")}


def test_calls_are_answered_and_recorded_while_strangers_hold_more_connections_than_descriptors(tmp_path: Path) -> None:
    with running_simulator() as sim:
        file, data, admin = config_file(tmp_path, sim.url, "strict")
        with running_gateway(file, data, admin, log=tmp_path / "log", descriptors=DESCRIPTORS) as gateway:
            relay = int((tmp_path / "journal/relay-0/lock").read_text().split()[0])
            host, _, port = data.partition(":")
            stop = threading.Event()
            strangers = threading.Thread(target=hold_connections, args=((host, int(port)), stop))
            strangers.start()
            try:
                answered, tried, highest = 0, 0, 0
                while answered < CALLS:
                    tried += 1
                    assert tried < 4 * CALLS
                    with suppress(httpx.TransportError):  # made to leave as one of the silent, before it had spoken
                        answer = httpx.post(gateway.url + CHAT, json=ASKED, timeout=20)
                        answered += answer.status_code == 200
                    highest = max(highest, *descriptors_of(relay))
            finally:
                stop.set()
                strangers.join()
            assert gateway.is_ready()
            metrics = httpx.get(gateway.admin_url + "/metrics").text
        records = records_of(file)
    assert highest < DESCRIPTORS - 8  # what the journal and upstreams need is left
    assert sum(record["status"] == 200 for record in records) >= CALLS
    (closed,) = [line for line in metrics.splitlines() if line.startswith("tokenweir_relay_connections_closed_total{")]
    assert float(closed.split()[-1]) > 0
