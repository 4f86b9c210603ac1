"""The parent process: owns the listening sockets, forks relays and books, restarts what dies.

It forks, so that a relay is there as soon as its code is: what this process has read, no relay reads again. It has one
thread, and imports no database and no admin port; the books do that for themselves.

A relay that crashes leaves its listening socket open here, so that clients who connect meanwhile wait
in the kernel's queue instead of being refused. Shutdown is a list: relays first, then the books, which
post what the relays wrote last.
"""

import logging
import multiprocessing
import os
import secrets
import signal
import socket
import time
from collections.abc import Callable
from multiprocessing.connection import wait
from multiprocessing.context import ForkProcess
from types import FrameType
from typing import Any

import msgspec

from ..config import Config, ConfigSource
from ..errors import TokenweirError
from ..limits import limits_of
from .limit_holder import holder_main
from .logs import configure_logging
from .notify import tell_service_manager
from .relay import raise_file_limit, relay_main
from .reloading import reloaded, with_debug_secret
from .starting import CANNOT_START, listen, listen_together

__all__ = ["run"]

_log = logging.getLogger(__name__)
_fork = multiprocessing.get_context("fork")
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

# A process that dies right after its start would otherwise be restarted as fast as it can fail.
_RESTART_SECONDS = 1.0
# What a process may take beyond its own grace before it is killed.
_PATIENCE_SECONDS = 10.0
# What fails this early was never right.
_FIRST_SECONDS = 15.0


class _Child(msgspec.Struct):
    name: str
    target: Callable[..., None]
    arguments: tuple[Any, ...]
    listener: socket.socket
    process: ForkProcess | None = None
    started_at: float = 0.0

    def start(self, supervisor: int, foreign: list[socket.socket]) -> None:
        """``supervisor`` is a descriptor that becomes readable when this process is gone; ``foreign`` sockets are
        closed in the child."""
        # No signal may come to the child while its handlers are still this process's.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            self.process = _fork.Process(target=self._begin, args=(supervisor, foreign), name=self.name)
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        self.started_at = time.monotonic()

    def _begin(self, supervisor: int, foreign: list[socket.socket]) -> None:
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        for one in foreign:
            one.close()
        self.target(*self.arguments, self.listener, supervisor)

    def end(self, patience: float) -> None:
        process = self.process
        if process is None or not process.is_alive():
            return
        process.terminate()
        process.join(patience)
        if process.is_alive():
            _log.error("%s did not end within %g s and is killed", self.name, patience)
            process.kill()
            process.join()


def run(config: Config, source: ConfigSource) -> int:
    """Serves until SIGTERM or Ctrl-C. Returns the exit code. Raises ``ConfigError`` where a port is taken."""
    configure_logging("serve")
    raise_file_limit()
    config = with_debug_secret(config, secrets.token_hex())
    data = listen_together(config.server.data, "[server] data", config.server.relays)
    admin = listen(config.server.admin, "[server] admin")
    relays = [
        _Child(f"relay-{index}", relay_main, (config, source, index), listener) for index, listener in enumerate(data)
    ]
    books = _Child("books", _books_main, (config, source), admin)
    holder = _Child("limits", holder_main, (config, source), admin) if config.admission.holder is None else None
    supervisor = _Supervisor(relays, books, holder, config.server.shutdown_grace, source)
    supervisor.start()
    scheme = "https" if config.server.certificate else "http"
    _log.info("data port %s://%s, admin port http://%s", scheme, _shown(data[0]), _shown(admin))
    tell_service_manager("READY=1")
    return supervisor.wait()


def _books_main(config: Config, source: ConfigSource, listener: socket.socket, supervisor: int) -> None:
    from .books import books_main

    books_main(config, source, listener, supervisor)


class _Supervisor:
    def __init__(
        self, relays: list[_Child], books: _Child, holder: _Child | None, grace: float, source: ConfigSource
    ) -> None:
        self._relays = relays
        self._books = books
        self._holder = holder
        self._grace = grace
        self._source = source
        self._began_at = time.monotonic()
        self._exit_code = 0
        self._stopping = False
        self._is_pressed = False
        self._wake_reader, self._wake_writer = socket.socketpair()
        # Never written to: the end that children keep becomes readable when this process, and the other end, are gone.
        self._life_reader, self._life_writer = socket.socketpair()

    def start(self) -> None:
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, self._on_stop)
        signal.signal(signal.SIGHUP, self._on_reload)
        for child in self._children:
            self._start(child)

    def wait(self) -> int:
        """Restarts what dies, until told to stop."""
        while not self._stopping:
            children = {child.process.sentinel: child for child in self._children if child.process is not None}
            for ready in wait([self._wake_reader, *children]):
                if ready is self._wake_reader:
                    self._wake_reader.recv(64)
                elif not self._stopping:
                    self._revive(children[ready])  # type: ignore[index]
        tell_service_manager("STOPPING=1")
        _log.info("stopping: calls under way have %g s to finish", self._grace)
        self._stop_relays()
        for relay in self._relays:
            relay.end(self._grace + _PATIENCE_SECONDS)
        self._books.end(_PATIENCE_SECONDS)
        if self._holder is not None:
            self._holder.end(_PATIENCE_SECONDS)
        _log.info("stopped")
        return self._exit_code

    def _stop_relays(self) -> None:
        for relay in self._relays:
            if relay.process is not None and relay.process.is_alive():
                relay.process.terminate()

    @property
    def _children(self) -> list[_Child]:
        """Those that run, in the order in which they start. Without a limit, nobody has to hold one."""
        holder = self._holder
        has_limits = holder is not None and (holder.process is not None or _has_limits(holder.arguments[0]))
        return [*([holder] if holder is not None and has_limits else []), *self._relays, self._books]

    def _revive(self, child: _Child) -> None:
        if child.process is not None:
            child.process.join()
            code = child.process.exitcode
            if code == CANNOT_START and time.monotonic() - self._began_at < _FIRST_SECONDS:
                self._exit_code, self._stopping = 2, True  # its log says why; trying again would not help
                return
            _log.error("%s ended unexpectedly (exit code %s); it is started again", child.name, code)
        pause = _RESTART_SECONDS - (time.monotonic() - child.started_at)
        if pause > 0:
            wait([self._wake_reader], pause)
        if not self._stopping:
            self._start(child)

    def _start(self, child: _Child) -> None:
        listeners = [other.listener for other in self._children if other.listener is not child.listener]
        child.start(self._life_reader.fileno(), [self._wake_reader, self._wake_writer, self._life_writer, *listeners])

    def _on_stop(self, signum: int, frame: FrameType | None) -> None:
        if self._stopping and not self._is_pressed:
            _log.warning("told a second time to stop: calls under way are ended now")
            self._is_pressed = True
            self._stop_relays()
        self._stopping = True
        self._wake_writer.send(b"x")

    def _on_reload(self, signum: int, frame: FrameType | None) -> None:
        """The processes read the file themselves, and say what is wrong with it. One that dies later is to come back
        with what they took, not with what this process began with."""
        try:
            reload = reloaded(self._source, self._books.arguments[0])
        except TokenweirError as error:
            _log.error("the configuration was not reloaded, the old one stays: %s", error)
            return
        if reload.waiting:
            _log.warning("changed, and taking effect with the next start only: %s", ", ".join(reload.waiting))
        if self._holder is not None:
            self._holder.arguments = (reload.config, *self._holder.arguments[1:])
        for child in self._children:
            if child.process is None:
                self._start(child)
            child.arguments = (reload.config, *child.arguments[1:])
            if child.process is not None and child.process.pid is not None and child.process.is_alive():
                os.kill(child.process.pid, signal.SIGHUP)


def _has_limits(config: Config) -> bool:
    return bool(limits_of(config.callers, config.groups, config.deployments, config.limits))


def _shown(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
