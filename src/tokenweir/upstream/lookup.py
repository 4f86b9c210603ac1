"""An upstream's addresses, looked up once for all that wait for a connection to it.

The loop looks names up in a few threads that all upstreams share, and cannot stop one. Where a name server is silent,
and each waiting call had a lookup of its own, those of the other upstreams would stand behind them for minutes.
"""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from ipaddress import ip_address
from typing import Any

__all__ = ["Lookup"]

Resolve = Callable[[str, int], Coroutine[Any, Any, list[str]]]
"""Host and port → addresses. Raises ``OSError``."""


async def _resolve(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(where[0]) for _, _, _, _, where in found))


class Lookup:
    """Of one host, as often as it is asked for, but never twice at a time."""

    def __init__(self, host: str, port: int, resolve: Resolve | None = None) -> None:
        """``resolve`` in the place of the loop's own."""
        self._host = host
        self._port = port
        self._resolve = resolve or _resolve
        self._under_way: asyncio.Task[list[str]] | None = None
        self._literal: list[str] = []
        with suppress(ValueError):
            self._literal = [str(ip_address(host))]

    async def addresses(self) -> list[str]:
        """At least one, in the order in which to try them. Raises ``OSError``. Whoever gives up stops nobody else."""
        if self._literal:
            return self._literal
        task = self._under_way
        if task is None:
            task = self._under_way = asyncio.get_running_loop().create_task(self._resolve(self._host, self._port))
            task.add_done_callback(self._done)
        return await asyncio.shield(task)

    def _done(self, task: "asyncio.Task[list[str]]") -> None:
        self._under_way = None
        if not task.cancelled():
            task.exception()  # there may be nobody left to hear it
