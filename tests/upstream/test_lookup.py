"""Names are looked up once for all that wait, whoever gives up meanwhile."""

import asyncio
import socket

import pytest

from support.servers import until
from tokenweir.upstream.lookup import Lookup

pytestmark = pytest.mark.anyio

FOUND = ["2001:db8::1", "192.0.2.1"]


class NameServer:
    """Answers each lookup when the test says so."""

    def __init__(self) -> None:
        self.asked: list[asyncio.Future[list[str]]] = []
        self.lookup = Lookup("name.example", 443, self.resolve)

    async def resolve(self, host: str, port: int) -> list[str]:
        assert (host, port) == ("name.example", 443)
        self.asked.append(asyncio.get_running_loop().create_future())
        return await self.asked[-1]

    def wait(self) -> "asyncio.Future[list[str]]":
        return asyncio.ensure_future(self.lookup.addresses())


async def test_all_that_wait_have_one_lookup_and_who_gives_up_stops_nobody() -> None:
    server = NameServer()
    waiting = [server.wait() for _ in range(50)]
    await until(lambda: server.asked)
    for one in waiting[:49]:
        one.cancel()
    await asyncio.gather(*waiting[:49], return_exceptions=True)
    server.asked[0].set_result(FOUND)
    assert await waiting[49] == FOUND
    assert len(server.asked) == 1


async def test_who_asks_later_has_it_looked_up_anew() -> None:
    server = NameServer()
    first = server.wait()
    await until(lambda: server.asked)
    server.asked[0].set_exception(socket.gaierror(socket.EAI_NONAME, "Name or service not known"))
    with pytest.raises(socket.gaierror):
        await first
    second = server.wait()
    await until(lambda: len(server.asked) == 2)
    server.asked[1].set_result(FOUND)
    assert await second == FOUND


async def test_a_lookup_for_which_nobody_waits_any_more_may_fail() -> None:
    server = NameServer()
    waiting = server.wait()
    await until(lambda: server.asked)
    waiting.cancel()
    server.asked[0].set_exception(socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"))
    await until(lambda: server.lookup._under_way is None)
    assert waiting.cancelled()


@pytest.mark.parametrize("literal", ["127.0.0.1", "::1"])
async def test_an_address_is_not_looked_up(literal: str) -> None:
    assert await Lookup(literal, 443, NameServer().resolve).addresses() == [literal]


async def test_the_loops_own_addresses_come_once_each() -> None:
    found = await Lookup("localhost", 443).addresses()
    assert "127.0.0.1" in found and len(set(found)) == len(found)
