"""The relay process: the data port and its journal. It holds no database and serves no admin route."""

import asyncio
import gc
import logging
import os
import resource
import secrets
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec
import uvloop

from ..config import Config, is_loopback, load, parse_address
from ..deployments import Catalogue
from ..errors import ConfigError, JournalInUse, TokenweirError
from ..gateway import SWEEP_SECONDS, DataPlane, RecordLog, ServerSettings, Tracing
from ..journal import Journal, changed_fields
from ..policy import Keyring, read_keys
from ..records import Clock, SystemClock
from ..upstream import Upstream, open_upstreams
from ..vocabulary import ENCODINGS, load as load_vocabulary, verify as verify_vocabulary
from .data_port import DataPort
from .logs import configure_logging
from .starting import one_line_for_errors

__all__ = ["ONLY_AT_START", "ProcessLog", "RelayProcess", "relay_main", "with_debug_secret"]

_log = logging.getLogger(__name__)

# What a running relay keeps: its sockets, its journal, and what was made with its settings.
ONLY_AT_START = ("server", "journal", "ledger", "tracing")

# Connections that the kernel may queue while a relay restarts or the loop is busy.
_BACKLOG = 4096

# What a relay may take to end beyond its grace, and how often is looked whether it has.
_ENDING_SECONDS = 10.0
_LOOK_SECONDS = 0.1


class ProcessLog(RecordLog, Protocol):
    """Where a process's records go, and who closes it: a `Journal`, or what stands in for one without a disk."""

    gauges: dict[str, float | int]

    def close(self) -> int:
        """Blocks until what can be brought out is; returns how many records are lost."""
        ...


class RelayProcess:
    """Puts one relay together, runs it, and takes it apart: stop accepting, let calls finish, flush the journal."""

    def __init__(
        self,
        config: Config,
        config_path: Path | None,
        name: str,
        clock: Clock,
        open_log: Callable[[], ProcessLog] | None = None,
    ) -> None:
        """``open_log`` gives another log than the journal called ``name``."""
        self._config = config
        self._config_path = config_path
        self._keys_path = Path(config.server.keys)
        self._keys_seen = _modified(self._keys_path)
        self._clock = clock
        self._stop = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        # What may be wrong comes first: once the journal is open, its status says that all is well.
        keyring, catalogue, upstreams = self._parts(config)
        self._tls = tls_context(config.server)
        self.journal: ProcessLog = open_log() if open_log else _open_journal(config, name, clock)
        self.data_plane = DataPlane(
            config.server,
            self.journal,
            clock,
            # A secret that nobody else knows: no debug token can be issued.
            Tracing(config.tracing, config.tracing.secret or secrets.token_hex(), clock),
            keyring,
            catalogue,
            upstreams,
            is_strict=config.journal.durability == "strict",
            keeps_content=config.journal.content == "full",
        )

    def _parts(self, config: Config) -> tuple[Keyring, Catalogue, dict[str, Upstream]]:
        """What a reload exchanges. Raises ``ConfigError``."""
        keyring = Keyring(config.callers, read_keys(self._keys_path))
        if keyring.is_open and not is_loopback(parse_address(self._config.server.data)[0]):
            raise ConfigError(
                f"no caller has a key (any more), and {self._config.server.data} can be reached from other machines, "
                f"so anyone could call; restore {self._keys_path}, or create a key with `tokenweir keys create NAME`"
            )
        catalogue = Catalogue(config.deployments, {upstream.name: upstream.kind for upstream in config.upstreams})
        return keyring, catalogue, open_upstreams(config.upstreams, os.environ, self._clock)

    def reload(self) -> None:
        """Takes callers, deployments and upstreams anew; no stream notices. What is wrong changes nothing."""
        try:
            config = with_debug_secret(load(self._config_path, os.environ).config, self._config.tracing.secret)
            keyring, catalogue, upstreams = self._parts(config)
            self.data_plane.configure(keyring=keyring, catalogue=catalogue, upstreams=upstreams)
        except TokenweirError as error:
            _log.error("the configuration was not reloaded, the old one stays: %s", error)
            return
        for table in ONLY_AT_START:
            if getattr(config, table) != getattr(self._config, table):
                _log.warning("[%s] has changed; that takes effect with the next start, not with a reload", table)
        self._config = msgspec.structs.replace(
            config, **{table: getattr(self._config, table) for table in ONLY_AT_START}
        )
        services = self.data_plane.services
        _log.info("configuration reloaded: %s; %s", services.keyring, services.catalogue)

    def _reload_keys(self) -> None:
        """``tokenweir keys`` takes effect within a second, without a signal."""
        seen = _modified(self._keys_path)
        if seen == self._keys_seen:
            return
        self._keys_seen = seen
        if not seen:
            _log.error("the keys file %s is gone; the keys it held stay in force until it is back", self._keys_path)
            return
        try:
            self.data_plane.configure(keyring=self._parts(self._config)[0])
        except TokenweirError as error:
            _log.error("the keys file was not reloaded, the old keys stay: %s", error)
            return
        _log.info("keys reloaded: %s", self.data_plane.services.keyring)

    def stop(self) -> None:
        """Told twice, it does not wait for what is under way."""
        if self._stop.is_set():
            self.data_plane.abort()
        self._stop.set()

    async def run(self, listener: socket.socket) -> None:
        """Serves until ``stop``; returns when the journal is flushed."""
        port = DataPort(listener, self._tls, self.data_plane, _BACKLOG)
        self.begin()
        try:
            await self._stop.wait()
        finally:
            port.close()
            await self.drain()
            self.end()

    def begin(self) -> None:
        """Starts what runs beside the calls: time limits, and a look at the keys file."""
        self._sweep()

    async def drain(self) -> None:
        """Lets open answers finish. Nothing new is let in any more."""
        if isinstance(self.journal, Journal):
            self.journal.announce_end()
        await self.data_plane.drain(self._config.server.shutdown_grace)

    def end(self) -> None:
        """Flushes the journal; nothing may be under way any more."""
        if self._timer is not None:
            self._timer.cancel()
        unwritten = self.journal.close()
        if unwritten:
            _log.error("%d records could not be written before the end", unwritten)

    def _sweep(self) -> None:
        data_plane, services = self.data_plane, self.data_plane.services
        data_plane.sweep()
        self._reload_keys()
        self.journal.gauges.update(
            active_calls=len(data_plane.calls),
            open_connections=len(data_plane.clients),
            connections_refused=data_plane.doorkeeper.refused,
            connections_closed=data_plane.doorkeeper.closed,
            upstream_refusals=services.refusals.count,
            buffered_bytes=services.bodies.used,
            buffers_full=services.bodies.refused,
            record_fields_changed=changed_fields(),
        )
        self._timer = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep)


def with_debug_secret(config: Config, secret: str | None) -> Config:
    """The configuration with ``secret`` where it names none to sign debug tokens with: what the books issue, the
    relays must know."""
    if config.tracing.secret is not None:
        return config
    return msgspec.structs.replace(config, tracing=msgspec.structs.replace(config.tracing, secret=secret))


def _open_journal(config: Config, name: str, clock: Clock) -> Journal:
    """Where a supervisor was killed, its relay finishes what is under way and goes: that is waited for. Raises
    ``JournalInUse`` at once where another relay is there to stay."""
    directory = Path(config.journal.directory) / name
    deadline = clock.monotonic() + config.server.shutdown_grace + _ENDING_SECONDS
    is_told = False
    while True:
        try:
            return Journal.open(directory, config.journal, clock)
        except JournalInUse as error:
            if not error.is_ending or clock.monotonic() > deadline:
                raise
            if not is_told:
                _log.warning("the journal in %s is still written by a relay that is ending; waiting for it", directory)
                is_told = True
            time.sleep(_LOOK_SECONDS)


def relay_main(config: Config, config_path: Path | None, index: int, listener: socket.socket, supervisor: int) -> None:
    """A relay process's whole life; called in a process of its own."""
    configure_logging(f"relay-{index}")
    with one_line_for_errors():
        raise_file_limit()
        verify_vocabulary()
        uvloop.run(_serve(config, config_path, f"relay-{index}", listener, supervisor))


async def _serve(config: Config, config_path: Path | None, name: str, listener: socket.socket, supervisor: int) -> None:
    process = RelayProcess(config, config_path, name, SystemClock())
    # What is here now stays; what calls leave behind is freed by reference counts, so rounds can be rare.
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)
    stop_with_supervisor(process.stop, supervisor)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, process.reload)
    _log.info("%s; %s", process.data_plane.services.keyring, process.data_plane.services.catalogue)
    # Some 110 MB and half a second. Not before the port is open, as calls need none; and not when the first stream
    # breaks, as building holds the interpreter for a tenth of a second or two, and would hold up all others.
    threading.Thread(target=_load_vocabularies, name="vocabularies", daemon=True).start()
    await process.run(listener)


def _load_vocabularies() -> None:
    for encoding in ENCODINGS:
        load_vocabulary(encoding)


def stop_with_supervisor(stop: Callable[[], None], supervisor: int) -> None:
    """Stops on SIGTERM, and when ``supervisor``, a descriptor, becomes readable: then that process is gone. Ctrl-C
    reaches every process of the terminal: the supervisor alone answers it."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop)
    loop.add_signal_handler(signal.SIGINT, lambda: None)
    loop.add_reader(supervisor, _supervisor_gone, supervisor, stop)


def _supervisor_gone(supervisor: int, stop: Callable[[], None]) -> None:
    asyncio.get_running_loop().remove_reader(supervisor)
    _log.warning("the supervisor is gone; stopping")
    stop()


def raise_file_limit() -> None:
    """A stream takes two descriptors; the usual soft limit of 1,024 would end at 500 of them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _modified(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def tls_context(server: ServerSettings) -> ssl.SSLContext | None:
    """The data port's, if it speaks TLS. Raises ``ConfigError``."""
    if server.certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(server.certificate, server.private_key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"[server] certificate or private_key cannot be used: {error}") from error
    return context
