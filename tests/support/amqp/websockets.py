"""The door of an Event Hubs namespace on port 443: AMQP inside WebSockets, handed on to the emulator behind it."""

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

from aiohttp import WSMsgType, web

__all__ = ["running_websocket_door"]

_PATH = "/$servicebus/websocket"
_SUBPROTOCOL = "AMQPWSB10"


@contextmanager
def running_websocket_door(port: int, tls: ssl.SSLContext) -> Iterator[int]:
    """Listens on a port of its own for the length of the block; what comes through goes to ``port``."""
    opened, told = Event(), asyncio.Event()
    found: list[int] = []
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        app = web.Application()
        app.router.add_get(_PATH, _handler(port))
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        found.append(runner.addresses[0][1])
        opened.set()
        await told.wait()
        await runner.cleanup()

    thread = Thread(target=lambda: loop.run_until_complete(serve()), name="websocket door")
    thread.start()
    try:
        if not opened.wait(20):
            raise TimeoutError("the door did not open")
        yield found[0]
    finally:
        loop.call_soon_threadsafe(told.set)
        thread.join()
        loop.close()


def _handler(port: int) -> "web.Handler":  # type: ignore[name-defined]
    async def handle(request: web.Request) -> web.WebSocketResponse:
        client = web.WebSocketResponse(protocols=[_SUBPROTOCOL])
        await client.prepare(request)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        back = asyncio.ensure_future(_pump(reader, client))
        async for message in client:
            if message.type is WSMsgType.BINARY:
                writer.write(message.data)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        await back
        return client

    return handle


async def _pump(reader: asyncio.StreamReader, client: web.WebSocketResponse) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            await client.send_bytes(data)
    await client.close()
