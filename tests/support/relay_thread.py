"""A real relay in a thread: real sockets, real journal, real configuration; only the clock can jump.

Its port is the fast server's, or with ``host="uvicorn"`` that of the ASGI application in uvicorn.
"""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any, Literal, TypeVar

import msgspec
import uvicorn
import uvloop

from tokenweir.config import Config, ConfigSource, Loaded
from tokenweir.config.setting_path import Origins
from tokenweir.deployments import DeploymentSettings
from tokenweir.gateway import ServerSettings
from tokenweir.journal import Journal, JournalReader, JournalSettings
from tokenweir.limits import AdmissionSettings, LimitSettings
from tokenweir.policy import CallerSettings, TracingSettings, hash_key
from tokenweir.pricing import PriceSettings
from tokenweir.records import CallRecord
from tokenweir.serve.asgi_app import GatewayApp
from tokenweir.serve.relay import RelayProcess
from tokenweir.upstream import CredentialSettings, UpstreamSettings

from .clocks import JumpingClock

__all__ = ["HOSTS", "KEY", "Host", "RelayThread", "running_relay"]

KEY = "tw-test-key-of-team-a"

Host = Literal["fast", "uvicorn"]
HOSTS: list[Host] = ["fast", "uvicorn"]
_JOURNALS = {"fast": "relay-0", "uvicorn": "hosted-0"}

T = TypeVar("T")

_PATIENCE = 20.0


class RelayThread:
    """A running relay and what it has written down."""

    def __init__(self, folder: Path, clock: JumpingClock, host: Host) -> None:
        self.clock = clock
        self.host: Host = host
        self.server: uvicorn.Server
        self.url = ""
        self.address = ("", 0)
        self._reader = JournalReader(folder / "journal" / _JOURNALS[host], None)
        self._records: list[CallRecord] = []
        self.process: RelayProcess
        self.loop: asyncio.AbstractEventLoop
        self.thread: threading.Thread

    @property
    def journal(self) -> Journal:
        assert isinstance(self.process.journal, Journal)
        return self.process.journal

    def tell_to_stop(self) -> None:
        """As SIGTERM does."""
        if self.host == "uvicorn":
            self.server.should_exit = True
        else:
            self.loop.call_soon_threadsafe(self.process.stop)

    def jump(self, seconds: float) -> None:
        """Lets the sweeper look, then time pass, and the sweeper look again."""

        def look_and_jump() -> None:
            self.process.data_plane.sweep()
            self.clock.jump(seconds)
            self.process.data_plane.sweep()

        self.inside(look_and_jump)

    def inside(self, question: Callable[[], T]) -> T:
        """What ``question`` answers in the relay's own thread, between two turns of its loop."""

        async def asked() -> T:
            return question()

        return asyncio.run_coroutine_threadsafe(asked(), self.loop).result(_PATIENCE)

    def until(self, condition: Callable[[], object]) -> None:
        """Waits until ``condition``, asked inside, holds. Raises TimeoutError."""
        deadline = monotonic() + _PATIENCE
        pause = threading.Event()
        while not self.inside(condition):
            if monotonic() > deadline:
                raise TimeoutError(f"it never came: {self.process.data_plane!r}")
            pause.wait(0.002)

    def records(self, count: int) -> list[CallRecord]:
        """All records so far, in order, once at least ``count`` are on disk. Raises TimeoutError."""
        deadline = monotonic() + _PATIENCE
        pause = threading.Event()
        while len(self._records) < count:
            self._records.extend(self._reader.read(1000).records)
            if len(self._records) < count:
                if monotonic() > deadline:
                    raise TimeoutError(f"{len(self._records)} records, {count} wanted")
                pause.wait(0.005)
        self._records.extend(self._reader.read(1000).records)
        return self._records

    def record(self) -> CallRecord:
        """The one record there is."""
        (only,) = self.records(1)
        return only


@contextmanager
def running_relay(
    folder: Path,
    upstream: str | list[UpstreamSettings],
    *,
    server: dict[str, Any] | None = None,
    journal: dict[str, Any] | None = None,
    upstream_settings: dict[str, Any] | None = None,
    deployments: list[DeploymentSettings] | None = None,
    callers: list[CallerSettings] | None = None,
    tracing: dict[str, Any] | None = None,
    limits: list[LimitSettings] | None = None,
    prices: list[PriceSettings] | None = None,
    admission: AdmissionSettings | None = None,
    config_path: Path | None = None,
    host: Host = "fast",
    tables: dict[str, Any] | None = None,
) -> Iterator[RelayThread]:
    """A relay in front of ``upstream``; its one caller is ``team-a`` with ``KEY``.

    ``config_path`` is the file that a reload reads; ``tables`` are other tables of the configuration.
    """
    if isinstance(upstream, str):
        credential = CredentialSettings(key="upstream-key")
        upstream = [UpstreamSettings("sim", upstream, credential, **(upstream_settings or {}))]
    config = Config(
        server=msgspec.structs.replace(
            ServerSettings(keys=str(folder / "keys.json")), **{"shutdown_grace": 5.0, **(server or {})}
        ),
        journal=msgspec.structs.replace(JournalSettings(directory=str(folder / "journal")), **(journal or {})),
        upstreams=upstream,
        deployments=deployments or [],
        tracing=msgspec.structs.replace(TracingSettings(), **(tracing or {})),
        limits=limits or [],
        prices=prices or [],
        admission=admission or AdmissionSettings(),
        callers=callers if callers is not None else [CallerSettings("team-a", hash_key(KEY), {"cost_centre": "4711"})],
        **(tables or {}),
    )
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    ready = threading.Event()
    relay = RelayThread(folder, JumpingClock(runs=True), host)

    async def serve_hosted() -> None:
        gateway = GatewayApp(lambda: Loaded(config, config_path, Origins(None, {}), [], []), clock=relay.clock)
        settings = uvicorn.Config(
            gateway, log_config=None, access_log=False, lifespan="on", date_header=False, server_header=False
        )
        server = relay.server = uvicorn.Server(settings)
        serving = relay.loop.create_task(server.serve(sockets=[listener]))
        while not (server.started or serving.done()):  # noqa: ASYNC110 - uvicorn has nothing to wait for
            await asyncio.sleep(0)
        assert gateway.process is not None
        relay.process = gateway.process
        ready.set()
        await serving

    async def serve() -> None:
        relay.loop = asyncio.get_running_loop()
        if host == "uvicorn":
            await serve_hosted()
            return
        relay.process = RelayProcess(config, ConfigSource(config_path), "relay-0", relay.clock)
        relay.loop.call_soon(ready.set)
        await relay.process.run(listener)

    thread = relay.thread = threading.Thread(target=lambda: uvloop.run(serve()), name="relay")
    thread.start()
    try:
        if not ready.wait(_PATIENCE):
            raise TimeoutError("the relay did not start")
        relay.address = listener.getsockname()[:2]
        relay.url = f"{'https' if config.server.certificate else 'http'}://127.0.0.1:{relay.address[1]}"
        yield relay
    finally:
        if ready.is_set() and thread.is_alive():
            with suppress(RuntimeError):  # its loop has just come to its end
                relay.tell_to_stop()
        thread.join(_PATIENCE)
        listener.close()
