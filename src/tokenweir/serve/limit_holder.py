"""The process that knows what is left of this machine's limits, and how it survives being killed.

What is out of rates and quotas is in a file before anybody is told (SQLite; no disk is waited for, so a machine that
loses its power may lose the last second, and its relays with it). Calls under way are kept nowhere: relays say every
second what they hold.
"""

import asyncio
import logging
import os
import signal
import socket
import sqlite3
from pathlib import Path
from typing import Final, cast

import msgspec
import uvloop

from ..config import Config, ConfigSource
from ..limits import Holder, QuotaAccount, RateAccount
from ..records import Clock, SystemClock
from .limit_frames import LimitFrames, LimitQuestion, framed, holder_paths
from .logs import configure_logging
from .relay import stop_with_supervisor

__all__ = ["FileStore", "holder_main", "serve_limits"]

_log = logging.getLogger(__name__)

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
# A period of a quota is a month at most, and a call may be settled in the one before.
_KEPT_SECONDS: Final = 70 * 86_400

_SCHEMA: Final = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS quotas (key TEXT, period INTEGER, given INTEGER, PRIMARY KEY (key, period)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rates (key TEXT PRIMARY KEY, boot TEXT, slots TEXT) WITHOUT ROWID;
"""


class FileStore:
    """Implements ``HolderStore``."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(path)
        self._database.executescript(_SCHEMA)
        self._boot = _BOOT.read_text().strip() if _BOOT.exists() else ""

    def restore(self, holder: Holder, moment: float) -> None:
        """What was out when the last one was killed. Seconds of a monotonic clock mean nothing after a boot."""
        with self._database:
            self._database.execute("DELETE FROM quotas WHERE period < ?", [int(moment) - _KEPT_SECONDS])
            self._database.execute("DELETE FROM rates WHERE boot <> ?", [self._boot])
        periods: dict[str, dict[int, int]] = {}
        for key, period, given in self._database.execute("SELECT key, period, given FROM quotas ORDER BY period"):
            periods.setdefault(key, {})[period] = given
        holder.quotas.update({key: QuotaAccount(given) for key, given in periods.items()})
        for key, slots in self._database.execute("SELECT key, slots FROM rates"):
            holder.rates[key] = RateAccount(msgspec.json.decode(slots, type=list[tuple[int, int]]))

    def save(self, quotas: dict[tuple[str, int], int], rates: dict[str, list[tuple[int, int]]]) -> None:
        with self._database:
            self._database.executemany(
                "INSERT OR REPLACE INTO quotas VALUES (?, ?, ?)",
                [(key, period, given) for (key, period), given in quotas.items()],
            )
            self._database.executemany(
                "INSERT OR REPLACE INTO rates VALUES (?, ?, ?)",
                [(key, self._boot, msgspec.json.encode(slots).decode()) for key, slots in rates.items()],
            )

    def close(self) -> None:
        self._database.close()


class _RelayConnection(asyncio.Protocol):
    _read_question = msgspec.msgpack.Decoder(LimitQuestion).decode

    def __init__(self, holder: Holder, clock: Clock) -> None:
        self._holder = holder
        self._clock = clock
        self._frames = LimitFrames()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        transport = self._transport
        if transport is None:
            return
        try:
            for body in self._frames.feed(data):
                asked = self._read_question(body)
                now = self._clock.monotonic()
                granted = self._holder.handle(asked.relay, asked.asks, asked.returns, asked.held, now)
                transport.write(framed((asked.number, granted)))
        except (ValueError, sqlite3.Error) as error:
            _log.error("a relay's question about limits cannot be answered: %s", type(error).__name__)
            transport.abort()


async def serve_limits(config: Config, clock: Clock, stop: asyncio.Event) -> None:
    """Answers until ``stop``."""
    loop = asyncio.get_running_loop()
    address, file = holder_paths(config)
    store = FileStore(file)
    holder = Holder(store)
    store.restore(holder, clock.now().timestamp())
    address.unlink(missing_ok=True)
    server = await loop.create_unix_server(lambda: _RelayConnection(holder, clock), str(address))
    os.chmod(address, 0o600)
    _log.info("%s", holder)
    try:
        await stop.wait()
    finally:
        server.close()
        store.close()


def holder_main(config: Config, source: ConfigSource, listener: socket.socket, supervisor: int) -> None:
    """The process's whole life."""
    configure_logging("limits")
    listener.close()

    async def serve() -> None:
        stop = asyncio.Event()
        stop_with_supervisor(stop.set, supervisor)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, lambda: None)  # relays say how much there is
        await serve_limits(config, SystemClock(), stop)

    uvloop.run(serve())
