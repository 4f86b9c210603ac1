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
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import uvloop

from ..config import Config, ConfigSource, is_loopback, parse_address
from ..deployments import Catalogue
from ..errors import ConfigError, JournalInUse, TokenweirError
from ..gateway import SWEEP_SECONDS, DataPlane, LimitRule, RecordLog, Tracing
from ..journal import Journal, Trouble, changed_fields
from ..limits import Calendar, Limiter, limits_of
from ..policy import Keyring, TokenVerifier
from ..pricing import PriceList
from ..records import Clock, ClockJumps, SystemClock, TargetStatus
from ..upstream import Upstream, open_upstreams
from ..vocabulary import ENCODINGS, load as load_vocabulary, verify as verify_vocabulary
from .certificate import Certificate
from .data_port import DataPort
from .keys_watch import KeysWatch
from .limit_links import open_link
from .limit_overrides import OverridesWatch, override_paths
from .logs import configure_logging
from .memory import SpareMemory, give_back
from .reloading import digest_of_config, reloaded
from .shared_keys import open_shared_keys
from .shipped_log import ShippedLog
from .starting import one_line_for_errors
from .token_keys import TokenKeys

__all__ = ["ProcessLog", "RelayProcess", "relay_main"]

_log = logging.getLogger(__name__)

# Connections that the kernel may queue while a relay restarts or the loop is busy.
_BACKLOG = 4096

# Vocabularies take some 110 MB and half a second. Not at the start, when clients and books want the processor, as calls
# need none; and not when the first stream breaks, as building holds the interpreter for a tenth of a second or two, and
# would hold up all others.
_VOCABULARIES_AFTER = 5.0
_TELL_JUMPS = timedelta(hours=6)

# What a relay may take to end beyond its grace, and how often is looked whether it has.
_ENDING_SECONDS = 10.0
_LOOK_SECONDS = 0.1


class ProcessLog(RecordLog, Protocol):
    """Where a process's records go, and who closes it: a `Journal`, or what stands in for one without a disk."""

    gauges: dict[str, float | int]
    targets: list[TargetStatus]
    troubles: dict[str, Trouble]
    upstream_errors: dict[str, dict[str, int]]

    def close(self) -> int:
        """Blocks until what can be brought out is; returns how many records are lost."""
        ...


class RelayProcess:
    """Puts one relay together, runs it, and takes it apart: stop accepting, let calls finish, flush the journal."""

    def __init__(
        self,
        config: Config,
        source: ConfigSource,
        name: str,
        clock: Clock,
        open_log: Callable[[], ProcessLog] | None = None,
        *,
        holds_limits: bool = False,
    ) -> None:
        """``open_log`` gives another log than the journal called ``name``. ``holds_limits``: whether a process of this
        gateway has the truth of its limits, whom to ask."""
        self._config, self._config_digest = config, digest_of_config(config)
        self._source = source
        self._clock, self._jumps = clock, ClockJumps(clock)
        self._keys = KeysWatch(Path(config.server.keys), clock, open_shared_keys(config.server.shared_keys))
        self._stop = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        # What may be wrong comes first: once the journal is open, its status says that all is well.
        self._token_keys = self._token_keys_of(config, None)
        keyring, catalogue, upstreams = self._parts(config, self._token_keys)
        self._overrides = OverridesWatch(override_paths(config)[0])
        self._link = open_link(config, secrets.token_hex(8)) if holds_limits or config.admission.holder else None
        self._certificate = Certificate(config.server, clock) if config.server.certificate is not None else None
        self.journal: ProcessLog = open_log() if open_log else _open_journal(config, name, clock)
        self._spare_memory = SpareMemory(give_back)
        self._shipped: ShippedLog | None = None
        if isinstance(self.journal, Journal) and config.journal.durability == "shipped":
            self._shipped = ShippedLog(self.journal, config.journal, config.sinks)
        self.data_plane = DataPlane(
            config.server,
            self._shipped or self.journal,
            clock,
            # A secret that nobody else knows: no debug token can be issued.
            Tracing(config.tracing, config.tracing.secret or secrets.token_hex(), clock),
            keyring,
            catalogue,
            upstreams,
            self._limits(config, None),
            is_strict=config.journal.durability != "batch",
            keeps_content=config.journal.content == "full",
            hears_sessions=config.jobs.listen,
        )

    def _parts(
        self,
        config: Config,
        tokens: TokenKeys | None,
        before: Catalogue | None = None,
        upstreams: dict[str, Upstream] | None = None,
    ) -> tuple[Keyring, Catalogue, dict[str, Upstream]]:
        """What a reload exchanges; ``before`` and ``upstreams`` are in force until then. Raises ``ConfigError``."""
        keyring = self._keyring(config, tokens)
        if keyring.is_open and not is_loopback(parse_address(self._config.server.data)[0]):
            raise ConfigError(
                f"no caller has a key (any more), and {self._config.server.data} can be reached from other machines, "
                f"so anyone could call; restore {self._keys.path}, or create a key with `tokenweir keys create NAME`"
            )
        catalogue = Catalogue(
            config.deployments,
            {upstream.name: upstream.kind for upstream in config.upstreams},
            self._clock,
            before,
            {upstream.name for upstream in config.upstreams if upstream in self._config.upstreams},
        )
        return keyring, catalogue, open_upstreams(config.upstreams, os.environ, self._clock, upstreams)

    def reload(self) -> None:
        """Takes callers, deployments and upstreams anew; no stream notices. What is wrong changes nothing."""
        try:
            reload = reloaded(self._source, self._config)
            tokens = self._token_keys_of(reload.config, self._token_keys)
            services = self.data_plane.services
            keyring, catalogue, upstreams = self._parts(reload.config, tokens, services.catalogue, services.upstreams)
            limits = self._limits(reload.config, self.data_plane.services.limits)
            self.data_plane.configure(keyring=keyring, catalogue=catalogue, upstreams=upstreams, limits=limits)
        except TokenweirError as error:
            _log.error("the configuration was not reloaded, the old one stays: %s", error)
            return
        self._config, self._config_digest = reload.config, digest_of_config(reload.config)
        if tokens is not self._token_keys:
            self._end_token_keys()
            self._token_keys = tokens
            if tokens is not None:
                tokens.start()
        if self._shipped is not None:
            self._shipped.configure(reload.config.sinks)
        self._publish()
        services = self.data_plane.services
        _log.info("configuration reloaded: %s; %s", services.keyring, services.catalogue)

    def _limits(self, config: Config, before: LimitRule | None) -> LimitRule | None:
        """Those of a configuration, in which what was used ``before`` still counts."""
        limits = limits_of(config.callers, config.groups, config.deployments, config.limits)
        if not limits:
            return None
        settings = config.admission
        calendar = Calendar(settings.time_zone, settings.month_starts, settings.week_starts)
        if before is None:
            limiter = Limiter(limits, calendar, shares=self._link is not None)
        else:
            limiter = before.limiter.configure(limits, calendar)
        relays = max(settings.relays, config.server.relays)
        prices = PriceList(config.prices)
        return LimitRule(limiter, settings, self._clock, self._link, relays=relays, prices=prices)

    def _token_keys_of(self, config: Config, before: TokenKeys | None) -> TokenKeys | None:
        """``before``, where its settings are still the same."""
        if not config.entra.tenants:
            return None
        if before is not None and before.verifier.settings == config.entra:
            return before
        return TokenKeys(TokenVerifier(config.entra), self._clock)

    def _end_token_keys(self) -> None:
        if self._token_keys is not None:
            self._token_keys.end()

    def _keyring(self, config: Config, tokens: TokenKeys | None, *, may_be_open: bool = True) -> Keyring:
        keys = self._keys.in_force
        may_be_open = may_be_open and self._config.server.shared_keys is None
        return Keyring(
            config.callers,
            keys.stored,
            config.groups,
            unreadable=keys.is_closed,
            may_be_open=may_be_open,
            keeps_keys=config.server.key_ids == "as-is",
            tokens=tokens.verifier if tokens is not None else None,
            may_list=self._config.server.shared_lists == "pass",
        )

    def _changed_keyring(self, config: Config) -> Keyring:
        """What was closed is never opened by a change of keys."""
        return self._keyring(config, self._token_keys, may_be_open=self.data_plane.services.keyring.is_open)

    def _keys_changed(self, config: Config, keyring: Keyring) -> None:
        """``keyring`` was made with ``config``, and another one may be in force by now."""
        if config is not self._config:
            keyring = self._changed_keyring(self._config)
        self.data_plane.configure(keyring=keyring)
        self._publish()
        _log.info("keys reloaded: %s", self.data_plane.services.keyring)

    def stop(self) -> None:
        """Told twice, it does not wait for what is under way."""
        if self._stop.is_set():
            self.data_plane.abort()
        self._stop.set()

    async def run(self, listener: socket.socket) -> None:
        """Serves until ``stop``; returns when the journal is flushed."""
        port = DataPort(listener, self._tls_context, self.data_plane, _BACKLOG)
        self.begin()
        try:
            await self._stop.wait()
        finally:
            port.close()
            await self.drain()
            self.end()

    def begin(self) -> None:
        """Starts what runs beside the calls: time limits, and a look at the keys file."""
        loop = asyncio.get_running_loop()

        def changed() -> None:
            """``tokenweir keys`` takes effect within seconds, without a signal; and the calls do not notice."""
            config = self._config
            keyring = self._changed_keyring(config)
            with suppress(RuntimeError):  # the loop may have ended meanwhile
                loop.call_soon_threadsafe(self._keys_changed, config, keyring)

        self._keys.start(changed)
        if self._token_keys is not None:
            self._token_keys.start()
        self._sweep()

    async def drain(self) -> None:
        """Lets open answers finish. Nothing new is let in any more."""
        if isinstance(self.journal, Journal):
            self.journal.announce_end()
        await self.data_plane.drain(self._config.server.shutdown_grace)
        if self._link is not None:
            await self._link.close()

    def end(self) -> None:
        """Flushes the journal; nothing may be under way any more."""
        if self._timer is not None:
            self._timer.cancel()
        self._keys.end()
        self._end_token_keys()
        unwritten = self.journal.close()
        if unwritten:
            _log.error("%d records could not be written before the end", unwritten)

    def _sweep(self) -> None:
        limits = self.data_plane.services.limits
        if limits is not None:
            limits.limiter.override(self._overrides.look(limits.limiter.limits, self._clock.now()))
        self.data_plane.sweep()
        self._spare_memory.look(self.data_plane.held)
        if self._certificate is not None:
            self._certificate.look()
        if (jumped := self._jumps.look()) is not None:
            _log.warning(
                "the clock of this machine jumped by %+.1f s; calls of that time have times that are wrong, or are "
                "in another day than they were",
                jumped,
            )
        self._publish()
        self._timer = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep)

    def _clock_trouble(self) -> Trouble | None:
        """Of the last hours, as what was recorded then is looked at soon if at all."""
        at = self._jumps.last_at
        if at is None or self._clock.now() - at > _TELL_JUMPS:
            return None
        message = f"the clock of this machine jumped by {self._jumps.last_seconds:+.1f} s; set it by NTP (chrony)"
        return Trouble(at, message, hinders_calls=False)

    def _tls_context(self) -> ssl.SSLContext | None:
        return self._certificate.context if self._certificate is not None else None

    def _publish(self) -> None:
        """What the journal's status file tells others of this process."""
        data_plane, services = self.data_plane, self.data_plane.services
        trouble = self._keys.trouble
        token_trouble = self._token_keys.trouble if self._token_keys is not None else None
        expires = self._certificate.expires_at if self._certificate is not None else None
        self.journal.upstream_errors = services.refusals.errors
        self.journal.targets = services.catalogue.statuses()
        troubles = {"keys": trouble, "token keys": token_trouble, "clock": self._clock_trouble()}
        self.journal.troubles = {part: one for part, one in troubles.items() if one is not None}
        self.journal.gauges.update(
            active_calls=len(data_plane.calls),
            open_connections=len(data_plane.clients),
            connections_refused=data_plane.doorkeeper.refused,
            connections_closed=data_plane.doorkeeper.closed,
            upstream_refusals=services.refusals.count,
            limits_holder_up=int(self._link is None or not self._link.is_away),
            reservations_open=services.limits.limiter.counts.open if services.limits is not None else 0,
            limit_refusals=services.limits.limiter.counts.total if services.limits is not None else 0,
            buffered_bytes=services.bodies.used,
            buffers_full=services.bodies.refused,
            record_fields_changed=changed_fields(),
            clock_jumps=self._jumps.count,
            certificate_expires_timestamp_seconds=expires.timestamp() if expires is not None else 0,
            config_digest=self._config_digest,
            keys_digest=self._keys.in_force.digest,
            keys_failing=int(trouble is not None),  # the file knows no `true` among numbers
        )


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


def relay_main(config: Config, source: ConfigSource, index: int, listener: socket.socket, supervisor: int) -> None:
    """A relay process's whole life; called in a process of its own."""
    configure_logging(f"relay-{index}")
    with one_line_for_errors():
        raise_file_limit()
        verify_vocabulary()
        uvloop.run(_serve(config, source, f"relay-{index}", listener, supervisor))


async def _serve(config: Config, source: ConfigSource, name: str, listener: socket.socket, supervisor: int) -> None:
    process = RelayProcess(config, source, name, SystemClock(), holds_limits=True)
    # What is here now stays; what calls leave behind is freed by reference counts, so rounds can be rare.
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)
    stop_with_supervisor(process.stop, supervisor)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, process.reload)
    _log.info("%s; %s", process.data_plane.services.keyring, process.data_plane.services.catalogue)
    asyncio.get_running_loop().call_later(_VOCABULARIES_AFTER, _load_vocabularies_aside)
    await process.run(listener)


def _load_vocabularies_aside() -> None:
    threading.Thread(target=_load_vocabularies, name="vocabularies", daemon=True).start()


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
