"""The connections to one upstream: who is idle, who may be opened, how to open one.

The decision is synchronous: ``take`` gives an idle connection or ``None``; only then is ``connect`` awaited.
The one used last goes first, so that a quiet hour lets the others age and close.
"""

import asyncio
import errno
import logging
import os
import socket
import ssl
from collections import deque
from collections.abc import Callable
from math import inf
from typing import cast

from ..errors import UpstreamFull, UpstreamUnreachable
from ..proxies import TunnelRefused
from ..records import Clock
from ..wire import ResponseHead, ResponseHeadReader
from .connection import Receiver, UpstreamConnection
from .endpoint import Endpoint
from .lookup import Lookup
from .settings import UpstreamSettings
from .tls import start_tls, tls_context
from .tunnel import connect_through

__all__ = ["Pool"]

_log = logging.getLogger(__name__)

# Azure's front ends close an idle connection after a few minutes, many load balancers after 60 s;
# being first spares a call that meets a closing connection.
_MAX_IDLE_SECONDS = 50.0
# An error answer has a few hundred bytes and comes at once; reading it costs less than a TLS handshake.
_MAX_DRAIN_BYTES = 64 * 1024
_MAX_DRAIN_SECONDS = 10.0
# One that is away fails every call, and its log would be all that anybody sees.
_REPORT_SECONDS = 10.0


class Pool:
    """Connections to one endpoint."""

    def __init__(self, settings: UpstreamSettings, endpoint: Endpoint, clock: Clock) -> None:
        self._settings = settings
        self._endpoint = endpoint
        self._clock = clock
        self._context = tls_context(settings) if endpoint.tls else None
        self._proxy = endpoint.proxy(settings.proxy)
        self._lookup = Lookup(endpoint.host, endpoint.port)
        self._heads = ResponseHeadReader()
        self._idle: deque[UpstreamConnection] = deque()
        self._open: set[UpstreamConnection] = set()
        self._opening = 0
        self._report_due = 0.0
        self._is_closed = False
        self._draining: dict[UpstreamConnection, float] = {}

    def __repr__(self) -> str:
        idle = sum(not connection.is_closed for connection in self._idle)
        busy = len(self._open) - idle
        return f"<Pool {self._settings.name} [{busy} active, {idle} idle, {self._opening} opening]>"

    @property
    def size(self) -> int:
        """How many connections are open."""
        return len(self._open)

    def take(self) -> UpstreamConnection | None:
        """An idle connection that is still open and has brought nothing, or ``None``."""
        idle = self._idle
        while idle:
            connection = idle.pop()
            if connection.is_closed:
                continue
            if connection.is_quiet():
                return connection
            connection.abandon()
        return None

    async def connect(self, within: float = inf) -> UpstreamConnection:
        """A new connection, in so many seconds or ``connect_timeout``. Raises ``UpstreamUnreachable`` in words for a
        caller, or ``UpstreamFull``; the log has those for an operator."""
        limit, seconds = self._settings.max_connections, min(self._settings.connect_timeout, within)
        if len(self._open) + self._opening >= limit:
            full = self._unreachable(f"all {limit} connections are in use", "raise max_connections")
            raise UpstreamFull(str(full))
        connection = UpstreamConnection(self, self._heads)
        self._opening += 1
        try:
            async with asyncio.timeout(seconds):
                await self._open_one(connection)
        except TimeoutError as error:
            raise self._unreachable(f"no connection within {seconds:g} s", "check the network path") from error
        except ssl.SSLError as error:
            fix = "if its certificate comes from your own authority, set ca_bundle"
            raise self._unreachable("the TLS handshake failed", fix, f"{error.reason or error}") from error
        except TunnelRefused as error:
            raise self._unreachable("the proxy on the way gives no tunnel", error.fix, f"{error}") from error
        except OSError as error:
            raise self._unreachable(_without_address(error), "check its endpoint", f"{error}") from error
        finally:
            self._opening -= 1
        if connection.is_closed:  # so early that nobody would be told of its end
            raise self._unreachable("it closed a new connection at once", "check its endpoint and its limits")
        self._open.add(connection)
        return connection

    async def _open_one(self, connection: UpstreamConnection) -> None:
        endpoint = self._endpoint
        if self._proxy is not None and self._context is not None:
            await connect_through(self._proxy, endpoint, self._context, connection)
            return
        if self._context is None:
            await self._reach(lambda: cast(asyncio.Protocol, connection))
            return
        transport = await self._reach(asyncio.Protocol)
        if not await start_tls(transport, connection, self._context, endpoint.host):
            raise ConnectionResetError(errno.ECONNRESET, "closed during the TLS handshake")

    async def _reach(self, protocol: Callable[[], asyncio.Protocol]) -> asyncio.Transport:
        """A connection to the first of the host's addresses that takes one. Raises ``OSError``."""
        loop, failed = asyncio.get_running_loop(), OSError(errno.EHOSTUNREACH, "it has no address")
        for address in await self._lookup.addresses():
            try:
                transport, _ = await loop.create_connection(protocol, address, self._endpoint.port)
                return transport
            except OSError as error:
                failed = error
        raise failed

    def drain(self, connection: UpstreamConnection) -> None:
        """Reads the rest of an answer nobody wants, within limits, so that the connection can serve again."""
        connection.receiver = _Drain(connection)
        self._draining[connection] = self._clock.monotonic() + _MAX_DRAIN_SECONDS

    def _unreachable(self, what: str, fix: str, detail: str = "") -> UpstreamUnreachable:
        """Callers are not told hosts and proxies. The log says it once, and again while it goes on."""
        name, now = self._settings.name, self._clock.monotonic()
        if now >= self._report_due:
            self._report_due = now + _REPORT_SECONDS
            _log.warning(
                "upstream %s (%s:%d) cannot be reached: %s%s; %s; `tokenweir doctor` shows each step",
                name,
                self._endpoint.host,
                self._endpoint.port,
                what,
                detail and f" ({detail})",
                fix,
            )
        return UpstreamUnreachable(
            f"Upstream `{name}` cannot be reached: {what}. Try again shortly; the gateway's log says more."
        )

    def idle(self, connection: UpstreamConnection) -> None:
        connection.idle_since = self._clock.monotonic()
        self._draining.pop(connection, None)
        if self._is_closed or not self._settings.reuse_connections:
            connection.close()
        else:
            self._idle.append(connection)

    def closed(self, connection: UpstreamConnection) -> None:
        self._open.discard(connection)
        self._draining.pop(connection, None)

    def close_aged(self) -> None:
        """Closes what nobody used for a while; called about once a second."""
        now = self._clock.monotonic()
        for connection in [one for one, deadline in self._draining.items() if deadline < now]:
            connection.abandon()
        limit = now - _MAX_IDLE_SECONDS
        while self._idle and (self._idle[0].is_closed or self._idle[0].idle_since < limit):
            self._idle.popleft().close()

    def close(self) -> None:
        """Closes what is idle; calls under way keep theirs, which close when they end."""
        self._is_closed = True
        while self._idle:
            self._idle.pop().close()


class _Drain(Receiver):
    """A receiver that forgets what it is told."""

    def __init__(self, connection: UpstreamConnection) -> None:
        self._connection = connection
        self._size = 0

    def head_received(self, head: ResponseHead) -> None:
        """The head came before this receiver did."""

    def body_received(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > _MAX_DRAIN_BYTES:
            self._connection.abandon()

    def end_received(self) -> None:
        """The connection is idle again."""

    def connection_broken(self, reason: str) -> None:
        """Nobody waits for it."""

    def upload_paused(self, paused: bool) -> None:
        """The request was sent whole."""


def _without_address(error: OSError) -> str:
    """What the system says of an error, and not what asyncio adds to it."""
    if isinstance(error, socket.gaierror):
        return error.strerror or "its name is not known"
    return os.strerror(error.errno) if error.errno else "the connection broke off"
