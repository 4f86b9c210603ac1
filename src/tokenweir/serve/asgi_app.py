"""The gateway inside a host that speaks ASGI: put together at the host's start, or at the first call.

With a disk its records go to a journal like a relay's, in a directory of its own for each process of the host, and
`tokenweir serve` with the same configuration keeps the books of them. Without one they go from memory to the sinks,
before their answers end, and each call is a line in the log.
"""

import logging
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from ..config import ConfigSource, Loaded, load, pricer_of
from ..config.sink_variables import sinks_with_servers
from ..delivery.shipping import Shippers
from ..delivery.sinks import SinkSettings, chooses_dead_letters
from ..delivery.sources.memory import MemoryLog
from ..errors import ConfigError, JournalError, JournalInUse, TokenweirError
from ..gateway import HostedCall, HostedSocket
from ..gateway.asgi import Receive, Scope, Send
from ..journal import Journal
from ..records import Clock, SystemClock
from .logs import log_call
from .relay import RelayProcess

__all__ = ["GatewayApp", "with_dead_letters"]

_log = logging.getLogger(__name__)

# More processes than any host starts on one machine.
_MOST_PROCESSES = 256


class GatewayApp:
    """An ASGI 3 application. ``process`` is there from the host's start, or from the first call, until its end."""

    def __init__(
        self,
        configuration: Callable[[], Loaded] | None = None,
        *,
        clock: Clock | None = None,
        has_disk: bool = True,
        is_guarded: bool = False,
    ) -> None:
        """``has_disk``: whether the journal's directory outlives the process. ``is_guarded``: whether the host lets
        in only whom it knows; without, callers from other machines are let in only where some caller has a key."""
        self._configuration = configuration or _from_environment
        self._clock = clock or SystemClock()
        self._has_disk = has_disk
        self._is_guarded = is_guarded
        self._shippers: Shippers | None = None
        self.process: RelayProcess | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises ConfigError at a first call that finds a configuration that cannot be used; the host answers 500."""
        match scope["type"]:
            case "http":
                process = self.process or self._start()
                await HostedCall(process.data_plane, scope, receive, send, is_guarded=self._is_guarded).run()
            case "lifespan":
                await self._live(receive, send)
            case "websocket":
                process = self.process or self._start()
                await HostedSocket(process.data_plane, scope, receive, send, is_guarded=self._is_guarded).run()

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            self._start()
        except TokenweirError as error:
            _log.error("%s", error)
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.stop()
        await send({"type": "lifespan.shutdown.complete"})

    def _start(self) -> RelayProcess:
        loaded = self._configuration()
        for note in loaded.notes:
            _log.info("note: %s", note)
        process = self._on_disk(loaded) if self._has_disk else self._in_memory(loaded)
        if self._is_guarded:
            process.data_plane.trust_host()
        process.begin()
        self.process = process
        services = process.data_plane.services
        _log.info("%s; %s", services.keyring, services.catalogue)
        return process

    async def stop(self) -> None:
        """Lets open answers finish, and brings every record out. For hosts that have no lifespan."""
        process, self.process = self.process, None
        if process is None:
            return
        await process.drain()
        if self._shippers is not None:
            await self._shippers.stop()
            self._shippers = None
        process.end()

    def _on_disk(self, loaded: Loaded) -> RelayProcess:
        config = loaded.config

        def open_journal() -> Journal:
            for number in range(_MOST_PROCESSES):
                directory = Path(config.journal.directory) / f"hosted-{number}"
                with suppress(JournalInUse):
                    return Journal.open(directory, config.journal, self._clock)
            raise JournalError(f"{_MOST_PROCESSES} processes write journals in {config.journal.directory} already")

        return RelayProcess(config, ConfigSource(loaded.source), "hosted", self._clock, open_journal)

    def _in_memory(self, loaded: Loaded) -> RelayProcess:
        config = loaded.config
        journal, awaited = config.journal, [sink.holds_ends for sink in config.sinks]
        if journal.durability == "strict":
            raise ConfigError('[journal] durability = "strict" promises a disk, and this host has none: use "shipped"')
        if loaded.origins.of(("journal", "durability")) is None and any(awaited):
            journal = msgspec.structs.replace(journal, durability="shipped")
            config = msgspec.structs.replace(config, journal=journal)
        log = MemoryLog(awaited, journal, price=pricer_of(config), tell=log_call)
        process = RelayProcess(config, ConfigSource(loaded.source), "hosted", self._clock, lambda: log)
        if not config.sinks:
            _log.warning("there are no sinks and no disk: calls are passed on, and their records are kept nowhere")
        self._shippers = Shippers(
            [with_dead_letters(sink) for sink in sinks_with_servers(config)],
            log.sources,
            os.environ,
            self._clock,
            is_lasting=False,
        )
        self._shippers.start()
        return process


def _from_environment() -> Loaded:
    """As ``tokenweir serve`` reads it: TOKENWEIR_CONFIG, else ``tokenweir.toml`` here, and the variables."""
    path = os.environ.get("TOKENWEIR_CONFIG")
    return load(Path(path) if path else None, os.environ, extras=False)


def with_dead_letters(sink: SinkSettings) -> SinkSettings:
    """Where neither the working directory nor the file's can be written, dead letters have a place all the same, though
    not for long, if none was chosen for them."""
    if chooses_dead_letters(sink):
        return sink
    path = Path(tempfile.gettempdir()) / "tokenweir-dead-letters" / f"{sink.name}.jsonl"
    return msgspec.structs.replace(sink, dead_letters=str(path))
