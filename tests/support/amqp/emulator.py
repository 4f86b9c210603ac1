"""An Event Hubs namespace on loopback, for the real SDKs: AMQP 1.0, and what can go wrong with it.

It speaks what producers and consumers need: SASL, ``$cbs`` (signatures are checked, tokens accepted), ``$management``,
sending one event or a batch to a hub, a partition or by key, receiving from an offset, a sequence number or a time,
stealing by epoch, TLS. Keys are spread by crc32, which is not the service's hash: only that a key keeps to one
partition can be relied on.
"""

import asyncio
import ssl
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Any, TypeVar

from .connection import MAX_FRAME, Connection
from .frames import section
from .namespace import Faults, Namespace, Received, Stored
from .nodes import KEY, POLICY

__all__ = ["KEY", "EventHubsEmulator", "Received", "running_event_hubs"]

T = TypeVar("T")

_PATIENCE = 20.0
_MAX_MESSAGE = 1024 * 1024


class EventHubsEmulator:
    """Hubs with their partitions, served by a thread of its own; all methods may be called from any other."""

    def __init__(
        self,
        hubs: Mapping[str, int],
        *,
        tls: ssl.SSLContext | None = None,
        max_message_size: int = _MAX_MESSAGE,
        port: int = 0,
    ) -> None:
        self.port = port
        self._tls = tls
        self._namespace = Namespace(hubs, max_message_size)
        self._connections: dict[Connection, asyncio.Task[None]] = {}
        self._failures: list[Exception] = []
        self._server: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="event hubs", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        hubs = self._namespace.hubs.items()
        counts = {name: [len(one.events) for one in partitions] for name, partitions in hubs}
        return f"<EventHubsEmulator on {self.port}: {counts}, {len(self._connections)} connections>"

    @property
    def faults(self) -> Faults:
        """What goes wrong; may be set while it runs."""
        return self._namespace.faults

    @property
    def tokens(self) -> list[str]:
        """Every token that was put, in order."""
        return self._namespace.tokens

    @property
    def deliveries(self) -> int:
        """How many were kept; a batch is one."""
        return self._namespace.deliveries

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._connections)

    def connection_string(self, hub: str | None = None, *, key: str = KEY) -> str:
        """As the portal shows it, with ``EntityPath`` if a hub is named."""
        path = f";EntityPath={hub}" if hub else ""
        return (
            f"Endpoint=sb://127.0.0.1:{self.port}/;SharedAccessKeyName={POLICY};SharedAccessKey={key}"
            f"{path};UseDevelopmentEmulator=true"
        )

    def start(self) -> None:
        """Listen, on the same port as before if there was one."""
        self._inside(self._listen())

    def stop(self) -> None:
        """An outage: every connection breaks, new ones are refused. What was received stays."""
        self._inside(self._go_down())

    def close(self) -> None:
        """The end. Raises what went wrong in the emulator itself."""
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_PATIENCE)
        self._loop.close()
        if self._failures:
            raise self._failures[0]

    def hold(self) -> None:
        """From now on deliveries are kept, but neither confirmed nor given new credit for."""
        self._namespace.hold()

    def release(self) -> None:
        """Makes up for everything that was held."""

        async def let_go() -> None:
            self._namespace.release()

        self._inside(let_go())

    def received(self, hub: str) -> dict[str, list[Received]]:
        """Everything each partition holds, in order."""

        async def look() -> dict[str, list[Stored]]:
            return {partition.id: list(partition.events) for partition in self._namespace.hubs[hub]}

        partitions = self._inside(look())
        return {
            name: [stored.as_received(number) for number, stored in enumerate(events)]
            for name, events in partitions.items()
        }

    def take(self, hub: str) -> dict[str, list[Stored]]:
        """What each partition holds, which is forgotten then, also for receivers: long runs would fill the memory."""

        async def move() -> dict[str, list[Stored]]:
            found = {partition.id: partition.events for partition in self._namespace.hubs[hub]}
            for partition in self._namespace.hubs[hub]:
                partition.events = []
            return found

        return self._inside(move())

    def put(self, hub: str, partition: str, body: bytes, properties: Mapping[str, str] | None = None) -> None:
        """An event that somebody else has sent."""
        message = section(0x74, dict(properties or {})) + section(0x75, body)

        async def add() -> None:
            self._namespace.partition(hub, partition).add([message], None)

        self._inside(add())

    def until(self, condition: Callable[[], object]) -> None:
        """Waits in the caller's thread until ``condition`` holds. Raises TimeoutError."""
        deadline = monotonic() + _PATIENCE
        pause = threading.Event()
        while not condition():
            if monotonic() > deadline:
                raise TimeoutError(f"it never came: {self!r}")
            pause.wait(0.002)

    def _inside(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_PATIENCE)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _go_down(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        connections = dict(self._connections)
        for connection in connections:
            connection.drop()
        await asyncio.gather(*connections.values(), return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connection = Connection(self._namespace, writer)
        self._connections[connection] = task
        try:
            with suppress(OSError):
                while data := await reader.read(4 * MAX_FRAME):
                    if not connection.feed(data):
                        break
                    await writer.drain()
        except Exception as error:  # a fault of the emulator, for its test to see
            self._failures.append(error)
        finally:
            connection.drop()
            del self._connections[connection]


@contextmanager
def running_event_hubs(
    hubs: Mapping[str, int] | None = None, *, tls: ssl.SSLContext | None = None, max_message_size: int = _MAX_MESSAGE
) -> Iterator[EventHubsEmulator]:
    """A namespace for the length of the block; unless told otherwise its one hub is ``llm``, with four partitions."""
    emulator = EventHubsEmulator(hubs or {"llm": 4}, tls=tls, max_message_size=max_message_size)
    try:
        emulator.start()
        yield emulator
    finally:
        emulator.close()
