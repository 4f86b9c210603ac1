"""One connection against a transport with difficult manners."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tokenweir.simulator import Script, SimulatorSettings
from tokenweir.simulator.connection import Connection, Exchange
from tokenweir.simulator.request import ReceivedRequest
from tokenweir.simulator.sent import SentCalls
from tokenweir.simulator.server import SimulatorDesk
from tokenweir.simulator.surface import Reply

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


class EchoSession(asyncio.Protocol):
    """Takes the upgrade, and gives back whatever comes after it."""

    def __init__(self) -> None:
        self.ended: Exception | None | str = "not yet"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)

    def connection_lost(self, error: Exception | None) -> None:
        self.ended = error


class SessionDesk:
    """Opens a session for every request."""

    def __init__(self) -> None:
        self.session = EchoSession()
        self.finished: list[bool] = []

    def answer(self, request: ReceivedRequest) -> Exchange:
        assert request.wants_websocket
        return Exchange(request=request, reply=Reply(headers=[]), script=Script(), session=self.session)

    def ended(self, exchange: Exchange) -> None:
        self.finished.append(exchange.finished)


def test_a_session_has_the_connection_from_the_upgrade_on() -> None:
    async def ask() -> None:
        desk = SessionDesk()
        transport = Transport(never, limit=1 << 30)
        connection = transport.connection = Connection(desk, set())
        connection.connection_made(transport)
        connection.data_received(b"GET /v1/realtime HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nfirst")
        connection.data_received(b" and more")
        assert transport.written == b"HTTP/1.1 101 Switching Protocols\r\n\r\nfirst and more"
        assert desk.finished == []
        connection.connection_lost(None)
        assert (desk.session.ended, desk.finished) == (None, [True])

    asyncio.run(ask())
