"""The simulator's own ledger: what it said and used, call by call, as it knows it itself."""

import asyncio
from collections import deque
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import BinaryIO

import msgspec

__all__ = ["SentCall", "SentCalls"]

# A long benchmark must not eat the machine; 200,000 entries are some 100 MB. The file keeps them all.
_KEPT = 200_000


class SentCall(msgspec.Struct, frozen=True, kw_only=True):
    """One request and what became of it.

    Where an answer broke off, ``completion_tokens`` is the reasoning and what had been said so far, since a model whose
    reader is gone stops.
    """

    id: str
    """Sent as ``x-request-id`` and ``apim-request-id``."""
    client_request_id: str | None = None
    """The request's ``x-tokenweir-call-id``, ``x-client-request-id`` or ``x-ms-client-request-id``."""
    method: str
    path: str
    api: str = "other"
    """The surface, as a gateway's record calls it."""
    deployment: str | None = None
    """What was asked for."""
    model: str | None = None
    """What answered."""
    service_tier: str | None = None
    """Where one was asked for."""
    stream: bool = False
    status: int
    """Of the answer; 101 for a session, each turn of which has a line of its own."""
    prompt_tokens: int = 0
    """All of the prompt, cached ones too."""
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    completion_tokens: int = 0
    """Reasoning too."""
    reasoning_tokens: int = 0
    visible_tokens: int = 0
    """Tokens of output that were written to the socket."""
    quantities: dict[str, int | Decimal] = {}
    """What else is charged, by the names that records have for it."""
    usage_sent: bool = False
    """Whether the caller was told."""
    finished: bool = False
    """Whether the kernel took the last byte of the answer."""
    started: datetime
    ended: datetime


class SentCalls:
    """All ended calls, oldest first; a call that is still being answered is not among them."""

    def __init__(self, file: str | None = None) -> None:
        self._calls: deque[SentCall] = deque(maxlen=_KEPT)
        self._file: BinaryIO | None = Path(file).open("ab") if file else None  # noqa: SIM115 (until close)
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    def __repr__(self) -> str:
        return f"<SentCalls [{len(self._calls)} ended]>"

    def add(self, call: SentCall) -> None:
        self._calls.append(call)
        if self._file is not None:
            self._file.write(msgspec.json.encode(call) + b"\n")
            self._file.flush()
        for count, future in self._waiting:
            if count <= len(self._calls) and not future.done():
                future.set_result(None)

    def all(self) -> list[SentCall]:
        return list(self._calls)

    def clear(self) -> None:
        self._calls.clear()

    async def wait_for(self, count: int, within: float) -> list[SentCall]:
        """All calls, once at least ``count`` have ended. Raises TimeoutError saying how many have."""
        if len(self._calls) < count:
            waiting = count, asyncio.get_running_loop().create_future()
            self._waiting.append(waiting)
            try:
                await asyncio.wait_for(waiting[1], within)
            except TimeoutError:
                message = f"{len(self._calls)} of {count} calls have ended after {within:g} s"
                raise TimeoutError(message) from None
            finally:
                self._waiting.remove(waiting)
        return self.all()

    def lines(self) -> bytes:
        """JSON, one call a line."""
        return b"".join(msgspec.json.encode(call) + b"\n" for call in self._calls)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
