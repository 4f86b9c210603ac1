"""Small real servers on loopback: one that does as its script says, and a proxy that makes tunnels."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field

import trustme

from tokenweir.records import Clock, Duration
from tokenweir.upstream import CredentialSettings, Endpoint, Pool, UpstreamSettings

__all__ = [
    "TunnelProxy",
    "answering",
    "closed_port",
    "closing",
    "pool_of",
    "read_head",
    "serving",
    "silent_port",
    "tls_pair",
    "until",
    "upstream_at",
]

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(script: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Runs ``script`` for each connection; gives the port. What is still open at the end is closed."""
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
                await script(reader, writer)
                writer.close()
                await writer.wait_closed()
        except asyncio.CancelledError:
            pass  # the test is over
        finally:
            writer.transport.abort()
            await asyncio.sleep(0)
            tasks.discard(task)

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def read_head(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


def answering(*answers: bytes) -> Script:
    """One answer to each request on a connection, the last one again and again."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = 0
        while True:
            await read_head(reader)
            writer.write(answers[min(number, len(answers) - 1)])
            number += 1

    return script


async def until(condition: Callable[[], object]) -> None:
    """Lets the loop turn until ``condition`` holds; a test that waits in vain runs into its timeout."""
    while not condition():  # noqa: ASYNC110 - what is waited for happens inside the code under test
        await asyncio.sleep(0)


def closed_port() -> int:
    """A port of loopback where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


@contextmanager
def silent_port() -> Iterator[int]:
    """A port of loopback where a connection is neither taken nor refused: its queue is full."""
    with socket.socket() as listener, ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(2):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def tls_pair(*names: str) -> tuple[ssl.SSLContext, trustme.CA]:
    """A server's context for ``names``, and the authority behind it."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names).configure_cert(context)
    return context, authority


def upstream_at(
    url: str,
    *,
    ca_bundle: str | None = None,
    proxy: str | None = "",
    connect_timeout: float = 10,
    max_connections: int = 100,
    reuse_connections: bool = True,
) -> UpstreamSettings:
    return UpstreamSettings(
        name="sweden",
        endpoint=url,
        credential=CredentialSettings(key="k"),
        ca_bundle=ca_bundle,
        proxy=proxy,
        connect_timeout=Duration(connect_timeout),
        max_connections=max_connections,
        reuse_connections=reuse_connections,
    )


def pool_of(settings: UpstreamSettings, clock: Clock) -> Pool:
    return Pool(settings, Endpoint.parse(settings.endpoint), clock)


@asynccontextmanager
async def closing(pool: Pool) -> AsyncIterator[Pool]:
    """Closes what a test left idle, and waits until the loop has seen it closed."""
    try:
        yield pool
    finally:
        pool.close()
        for connection in list(pool._open):
            connection.abandon()
        await until(lambda: not pool._open)


@dataclass
class TunnelProxy:
    """A forward proxy: CONNECT, then bytes both ways. ``answer`` is said instead where it is given."""

    answer: bytes | None = None
    opens_with: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n"
    heads: list[bytes] = field(default_factory=list)

    async def script(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await read_head(reader)
        self.heads.append(head)
        if self.answer is not None:
            writer.write(self.answer)
            await writer.drain()
            return
        host, _, port = head.split(b" ")[1].rpartition(b":")
        target_reader, target_writer = await asyncio.open_connection(host.strip(b"[]").decode(), int(port))
        writer.write(self.opens_with)
        await asyncio.gather(_pump(reader, target_writer), _pump(target_reader, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
