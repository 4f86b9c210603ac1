"""A real HTTP server that takes webhooks and remembers them; what it answers is up to the test."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec

from support.servers import read_head, serving

__all__ = ["Delivery", "Receiver", "receiving"]


class Delivery(msgspec.Struct, frozen=True):
    path: str
    headers: dict[str, str]
    body: bytes


Answer = Callable[[Delivery], str]


def welcome(delivery: Delivery) -> str:
    return "204 No Content"


class Receiver:
    """``answer`` gives the status line's end, and headers after it: ``"429 Slow down\\r\\nRetry-After: 7"``."""

    def __init__(self) -> None:
        self.answer: Answer = welcome
        self.deliveries: list[Delivery] = []
        self.connections = 0
        self.url = ""

    async def script(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while True:
            first, *lines = (await read_head(reader)).decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            delivery = Delivery(first.split(" ")[1], headers, body)
            self.deliveries.append(delivery)
            said = self.answer(delivery)
            writer.write(f"HTTP/1.1 {said}\r\nContent-Length: 0\r\n\r\n".encode())


@asynccontextmanager
async def receiving(tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    receiver = Receiver()
    async with serving(receiver.script, tls) as port:
        receiver.url = f"http{'s' if tls else ''}://127.0.0.1:{port}/calls"
        yield receiver
