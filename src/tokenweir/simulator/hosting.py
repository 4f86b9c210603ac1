"""A simulator that runs: in the event loop at hand, or in a thread of its own beside synchronous code."""

import asyncio
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import uvloop

from .. import vocabulary
from ..errors import ConfigError, quoted
from .connection import Connection
from .sent import SentCall, SentCalls
from .server import SimulatorDesk
from .settings import SimulatorSettings

__all__ = ["HostedSimulator", "Simulator", "running_simulator"]

# Thousands of streams are opened at once by benchmarks; the kernel cuts this to net.core.somaxconn.
_BACKLOG = 8192

_PATIENCE = 10.0  # seconds


class Simulator:
    """``async with Simulator() as sim:`` listens at ``sim.url`` until the block ends."""

    def __init__(self, settings: SimulatorSettings | None = None) -> None:
        self.settings = settings or SimulatorSettings()
        self.url = ""
        self._connections: set[Connection] = set()

    def __repr__(self) -> str:
        return f"<Simulator {self.url or 'not started'} [{len(self._connections)} connections]>"

    @property
    def calls(self) -> list[SentCall]:
        """Every call that has ended, oldest first."""
        return self._calls.all()

    async def wait_for_calls(self, count: int, within: float = _PATIENCE) -> list[SentCall]:
        """All calls, once at least ``count`` have ended. Raises TimeoutError."""
        return await self._calls.wait_for(count, within)

    def clear(self) -> None:
        """Forgets the calls."""
        self._calls.clear()

    async def __aenter__(self) -> Self:
        """Raises ConfigError where the address or a file cannot be used."""
        await asyncio.to_thread(vocabulary.load, "o200k_base")  # or the first call would wait for it
        host, port = _address(self.settings.listen)
        tls = _tls(self.settings)
        try:
            self._calls = SentCalls(self.settings.ledger)
        except OSError as error:
            raise ConfigError(f"The ledger file cannot be written: {error}") from error
        desk = SimulatorDesk(self.settings, self._calls)
        try:
            self._server = await asyncio.get_running_loop().create_server(
                lambda: Connection(desk, self._connections), host, port, ssl=tls, backlog=_BACKLOG
            )
        except (OSError, ValueError) as error:
            self._calls.close()
            raise ConfigError(f"Cannot listen on {quoted(self.settings.listen)}: {error}") from error
        bound = self._server.sockets[0].getsockname()
        self.url = f"{'https' if tls else 'http'}://{host}:{bound[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        while self._connections:
            for connection in list(self._connections):
                connection.abort()
            await asyncio.sleep(0)
        await self._server.wait_closed()
        self._calls.close()


def _address(listen: str) -> tuple[str, int]:
    """Host and port. The loop itself would take a port beyond 65535 for another one."""
    host, _, port = listen.strip().rpartition(":")
    if not (host and port.isascii() and port.isdecimal() and int(port) <= 65535):
        raise ConfigError(f"Cannot listen on {quoted(listen)}: it is not an address; write it like 127.0.0.1:9000")
    return host, int(port)


def _tls(settings: SimulatorSettings) -> ssl.SSLContext | None:
    if settings.certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(settings.certificate, settings.private_key)
    except OSError as error:
        raise ConfigError(f"The certificate cannot be used: {error}") from error
    return context


class HostedSimulator:
    """The same, seen from another thread."""

    def __init__(self, simulator: Simulator, loop: asyncio.AbstractEventLoop) -> None:
        self.url = simulator.url
        self._simulator = simulator
        self._loop = loop

    @property
    def calls(self) -> list[SentCall]:
        """Every call that has ended. A call whose whole answer the reader has is among them."""
        return self.wait_for_calls(0)

    def wait_for_calls(self, count: int, within: float = _PATIENCE) -> list[SentCall]:
        """All calls, once at least ``count`` have ended. Raises TimeoutError."""
        waiting = self._simulator.wait_for_calls(count, within)
        return asyncio.run_coroutine_threadsafe(waiting, self._loop).result()

    def clear(self) -> None:
        """Forgets the calls."""
        self._loop.call_soon_threadsafe(self._simulator.clear)


@contextmanager
def running_simulator(settings: SimulatorSettings | None = None) -> Iterator[HostedSimulator]:
    """A simulator in a thread of its own. Raises ConfigError where it cannot start."""
    loop = uvloop.new_event_loop()
    simulator = Simulator(settings)
    started: Future[None] = Future()
    stopped = asyncio.Event()
    holding = _hold(simulator, started, stopped)
    thread = threading.Thread(target=loop.run_until_complete, args=(holding,), name="simulator")
    try:
        thread.start()
        started.result()
        yield HostedSimulator(simulator, loop)
    finally:
        # Also where Ctrl-C came while it started: it starts to the end, and stops at once.
        loop.call_soon_threadsafe(stopped.set)
        thread.join()
        loop.close()


async def _hold(simulator: Simulator, started: "Future[None]", stopped: asyncio.Event) -> None:
    """Runs until ``stopped``; why it could not start is ``started``'s to tell."""
    try:
        await simulator.__aenter__()
    except BaseException as error:
        started.set_exception(error)
        return
    started.set_result(None)
    await stopped.wait()
    await simulator.__aexit__(None, None, None)
