"""A relay's ways to the holder of its limits: the process of this machine, or Redis. Both implement ``LimitHolder``.

Nothing waits for them but a call whose slice is too small. Where the holder is away or silent, that call is told within
two seconds, and whoever comes after it at once, until there is a connection again.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from ..config import Config
from ..errors import ConfigError
from ..limits import Ask, Grant, Granted, Held, Return
from ..limits.redis_script import SCRIPT, arguments, granted_of
from .limit_frames import LimitFrames, LimitQuestion, framed, holder_paths

__all__ = ["HolderLink", "RedisLink", "open_link"]

_log = logging.getLogger(__name__)

OnAnswer = Callable[[Sequence[Grant] | None], None]

_PATIENCE_SECONDS: Final = 2.0
_RETRY_SECONDS: Final = 0.1
_CONNECT_SECONDS: Final = 2.0


class _Away:
    """Says in the log, once for each time, that the holder is away and that it is back."""

    def __init__(self, where: str) -> None:
        self._where = where
        self.is_away = False

    def is_gone(self) -> None:
        if not self.is_away:
            _log.warning("the holder of the limits (%s) is away; see [admission] on_outage", self._where)
        self.is_away = True

    def is_back(self) -> None:
        if self.is_away:
            _log.warning("the holder of the limits (%s) is back", self._where)
        self.is_away = False


class HolderLink(asyncio.Protocol):
    """To the process of this machine, over its socket. It is connected to with the first ask."""

    truth = 0
    """The process never loses it."""

    _read_answer = msgspec.msgpack.Decoder(tuple[int, list[Granted]]).decode

    def __init__(self, address: Path, relay: str) -> None:
        self._address = address
        self._relay = relay
        self._away = _Away(str(address))
        self._waiting: dict[int, tuple[bytes, OnAnswer, asyncio.TimerHandle]] = {}
        self._number = 0
        self._frames = LimitFrames()
        self._transport: asyncio.Transport | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._is_closed = False

    @property
    def is_away(self) -> bool:
        """Whether the holder did not answer when it last was asked."""
        return self._away.is_away

    def __repr__(self) -> str:
        return f"<HolderLink {'up' if self._transport else 'down'}, {len(self._waiting)} waiting>"

    def ask(self, asks: Sequence[Ask], returns: Sequence[Return], held: Sequence[Held], on_answer: OnAnswer) -> None:
        if self._is_closed or (self._transport is None and self._away.is_away):
            on_answer(None)
            return
        self._number += 1
        frame = framed(LimitQuestion(self._number, self._relay, asks, returns, held))
        timer = asyncio.get_running_loop().call_later(_PATIENCE_SECONDS, self._break)
        self._waiting[self._number] = frame, on_answer, timer
        if self._transport is not None:
            self._transport.write(frame)
        elif self._connecting is None:
            self._connecting = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._is_closed:
            try:
                await loop.create_unix_connection(lambda: self, str(self._address))
            except OSError:
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                break
        self._connecting = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport, self._frames = cast(asyncio.Transport, transport), LimitFrames()
        self._away.is_back()
        for frame, _, _ in self._waiting.values():  # the holder was not there yet
            self._transport.write(frame)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._fail()
        if not self._is_closed and self._connecting is None:
            self._connecting = asyncio.get_running_loop().create_task(self._connect())

    def data_received(self, data: bytes) -> None:
        try:
            for body in self._frames.feed(data):
                number, granted = self._read_answer(body)
                waiting = self._waiting.pop(number, None)
                if waiting is not None:
                    waiting[2].cancel()
                    waiting[1]([Grant(*one) for one in granted])
        except ValueError:
            self._break()

    def _break(self) -> None:
        """It does not answer, or not in a way that is understood: once more from the beginning."""
        self._away.is_gone()
        if self._transport is not None:
            self._transport.abort()
            self._transport = None
        self._fail()

    def _fail(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for _, on_answer, timer in waiting.values():
            timer.cancel()
            on_answer(None)

    async def close(self) -> None:
        self._is_closed = True
        if self._connecting is not None:
            self._connecting.cancel()
        if self._transport is not None:
            self._transport.close()
        self._fail()


class RedisLink:
    """To Redis or Valkey. One message is under way at a time; what comes meanwhile goes with the next one."""

    def __init__(self, url: str, relay: str) -> None:
        import redis.asyncio
        import redis.exceptions

        self._failures: tuple[type[Exception], ...] = (redis.exceptions.RedisError, OSError, ValueError, TimeoutError)
        self._client: Any = redis.asyncio.Redis.from_url(
            url, socket_timeout=_PATIENCE_SECONDS, socket_connect_timeout=_PATIENCE_SECONDS, retry=None
        )
        self._script = self._client.register_script(SCRIPT)
        self._relay = relay
        self._away = _Away(url.rpartition("@")[2])
        self._queue: list[tuple[Sequence[Ask], Sequence[Return], Sequence[Held], OnAnswer]] = []
        self._sending: asyncio.Task[None] | None = None
        self.truth = 0

    @property
    def is_away(self) -> bool:
        """Whether the holder did not answer when it last was asked."""
        return self._away.is_away

    def __repr__(self) -> str:
        return f"<RedisLink {len(self._queue)} waiting>"

    def ask(self, asks: Sequence[Ask], returns: Sequence[Return], held: Sequence[Held], on_answer: OnAnswer) -> None:
        self._queue.append((asks, returns, held, on_answer))
        if self._sending is None:
            self._sending = asyncio.get_running_loop().create_task(self._send())

    async def _send(self) -> None:
        try:
            while self._queue:
                batch, self._queue = self._queue, []
                await self._send_batch(batch)
        finally:
            self._sending = None

    async def _send_batch(self, batch: list[tuple[Sequence[Ask], Sequence[Return], Sequence[Held], OnAnswer]]) -> None:
        asks = [ask for one in batch for ask in one[0]]
        returns = [back for one in batch for back in one[1]]
        held = [units for one in batch for units in one[2]]
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                born, answers = await self._script(
                    keys=["{tokenweir}"], args=arguments(self._relay, asks, returns, held, has_met=self.truth > 0)
                )
            self.truth, granted = int(born), granted_of(answers)
        except self._failures:
            self._away.is_gone()
            granted = None
        else:
            self._away.is_back()
        at = 0
        for one in batch:
            if granted is None:
                one[3](None)
                continue
            mine = granted[at : at + len(one[0])]
            at += len(one[0])
            one[3]([Grant(*grant) for grant in mine if grant is not None] if None not in mine else None)

    async def close(self) -> None:
        if self._sending is not None:
            await asyncio.wait([self._sending], timeout=_CONNECT_SECONDS)
        await self._client.aclose()


def open_link(config: Config, relay: str) -> HolderLink | RedisLink:
    """The way that is configured. Raises ``ConfigError`` where its package is missing."""
    url = config.admission.holder
    if url is None:
        return HolderLink(holder_paths(config)[0], relay)
    try:
        return RedisLink(url, relay)
    except ModuleNotFoundError as error:
        raise ConfigError(f"[admission] holder needs {error.name}; run: pip install 'tokenweir[redis]'") from error
    except ValueError as error:
        raise ConfigError("[admission] holder cannot be understood; write it like redis://host:6379/0") from error
