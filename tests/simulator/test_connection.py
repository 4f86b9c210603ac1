"""One connection against a transport with difficult manners."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tokenweir.simulator import SimulatorSettings
from tokenweir.simulator.connection import Connection
from tokenweir.simulator.sent import SentCalls
from tokenweir.simulator.server import SimulatorDesk

STREAMED = b'{"stream":true,"model":"gpt-4o","messages":[{"role":"user","content":"Hello"}]}'
ASK = b'POST /v1/chat/completions HTTP/1.1\r\nx-simulate: {"output_tokens": 2000}\r\ncontent-length: %d\r\n\r\n%b'


class Transport(asyncio.Transport):
    """Keeps what is written. Is full beyond its limit, and then ``drains`` when it pleases."""

    def __init__(self, drains: Callable[["Transport"], None], limit: int) -> None:
        super().__init__()
        self.written = b""
        self.connection: Connection
        self._drains = drains
        self._limit = self._usual_limit = limit

    def write(self, data: Any) -> None:
        self.written += data
        if len(data) > self._limit:
            self.connection.pause_writing()
            self._drains(self)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._limit = self._usual_limit if high is None else high

    def drain(self) -> None:
        self.connection.resume_writing()


def asked(transport: Transport) -> SentCalls:
    """A connection on this transport that has been asked for a long stream, and the book about it."""
    calls = SentCalls()
    transport.connection = Connection(SimulatorDesk(SimulatorSettings(), calls), set())
    transport.connection.connection_made(transport)
    transport.connection.data_received(ASK % (len(STREAMED), STREAMED))
    return calls


def at_once(transport: Transport) -> None:
    """As a TLS transport may."""
    transport.drain()


def later(transport: Transport) -> None:
    asyncio.get_running_loop().call_soon(transport.drain)


def never(transport: Transport) -> None:
    pass


@pytest.mark.parametrize("drains", [at_once, later])
def test_whenever_a_transport_drains_everything_is_written_once(drains: Callable[[Transport], None]) -> None:
    async def ask() -> None:
        transport = Transport(drains, limit=0)
        [call] = await asked(transport).wait_for(1, within=10)
        assert (call.finished, call.visible_tokens) == (True, 2000)
        assert transport.written.count(b"data: {") == 1 + 2000 + 1
        assert transport.written.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")

    asyncio.run(ask())


def test_an_answer_is_finished_when_the_kernel_has_its_last_byte() -> None:
    async def ask() -> None:
        transport = Transport(never, limit=1 << 30)
        calls = asked(transport)
        assert transport.written.endswith(b"0\r\n\r\n")
        assert calls.all() == []
        transport.drain()
        [call] = calls.all()
        assert call.finished

    asyncio.run(ask())


def test_an_answer_that_the_kernel_never_took_is_not_finished() -> None:
    async def ask() -> None:
        transport = Transport(never, limit=1 << 30)
        calls = asked(transport)
        transport.connection.connection_lost(None)
        [call] = calls.all()
        assert (call.finished, call.visible_tokens) == (False, 2000)

    asyncio.run(ask())
