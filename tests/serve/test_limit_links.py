"""A relay's ways to the holder of its limits, when that is there, away, killed and started again."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from support.redis_server import running_redis
from tokenweir.config import Config
from tokenweir.errors import ConfigError
from tokenweir.journal import JournalSettings
from tokenweir.limits import AdmissionSettings, Ask, Grant, Held, Holder, Return
from tokenweir.records import SystemClock
from tokenweir.serve.limit_frames import framed, holder_paths
from tokenweir.serve.limit_holder import FileStore, serve_limits
from tokenweir.serve.limit_links import HolderLink, RedisLink, open_link

MONTH = 1_990_000_000
PATIENCE = 20.0


def ask(units: int = 1, window: str = "month", amount: int = 10, known: int = 0) -> Ask:
    return Ask("k", window, MONTH if window == "month" else 0, amount, units, units, known)


def config_in(folder: Path, **admission: str) -> Config:
    return Config(
        journal=replace(JournalSettings(), directory=str(folder)),
        admission=replace(AdmissionSettings(), **admission),
    )


async def answer_of(
    link: HolderLink | RedisLink, *asks: Ask, returns: Sequence[Return] = (), held: Sequence[Held] = ()
) -> list[int] | None:
    """The units that are granted."""
    answered: asyncio.Future[Sequence[Grant] | None] = asyncio.get_running_loop().create_future()
    link.ask(asks, returns, held, answered.set_result)
    grants = await asyncio.wait_for(answered, PATIENCE)
    return None if grants is None else [grant.units for grant in grants]


async def until_it_answers(link: HolderLink | RedisLink, *asks: Ask) -> list[int]:
    while (granted := await answer_of(link, *asks)) is None:  # noqa: ASYNC110 - another process has to come back
        await asyncio.sleep(0.01)
    return granted


@asynccontextmanager
async def serving(config: Config) -> AsyncIterator[None]:
    stop = asyncio.Event()
    serves = asyncio.get_running_loop().create_task(serve_limits(config, SystemClock(), stop))
    try:
        yield
    finally:
        stop.set()
        await serves


def test_a_relay_that_starts_before_the_holder_waits_for_it(tmp_path: Path) -> None:
    async def play() -> None:
        config = config_in(tmp_path)
        link = open_link(config, "one")
        early = asyncio.get_running_loop().create_task(answer_of(link, ask(7)))
        await asyncio.sleep(0)
        async with serving(config):
            assert await early == [7]
            assert await answer_of(link, ask(4), ask(3)) == [0, 3]
            await link.close()
        assert await answer_of(link, ask()) is None

    asyncio.run(play())


def test_a_holder_that_was_killed_knows_what_was_out_of_quotas_and_rates(tmp_path: Path) -> None:
    async def play() -> None:
        config = config_in(tmp_path)
        async with serving(config):
            link = open_link(config, "one")
            assert await answer_of(link, ask(7), ask(6, "minute"), held=[Held("c", 2)]) == [7, 6]
            await link.close()
        # nothing was written at its end that was not there before
        async with serving(config):
            link = open_link(config, "two")
            assert await answer_of(link, ask(4), ask(5, "minute"), ask(3), ask(4, "minute")) == [0, 0, 3, 4]
            await link.close()

    asyncio.run(play())


def test_what_a_file_says_of_rates_means_nothing_after_a_boot(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "limits.db")
    store._boot = "before"
    store.save({("k", MONTH): 7, ("old", 1000): 9}, {"k": [(1, 5)]})
    store.close()
    store, holder = FileStore(tmp_path / "limits.db"), Holder()
    store.restore(holder, float(MONTH))
    assert (holder.rates, list(holder.quotas)) == ({}, ["k"])
    store.close()


@asynccontextmanager
async def saying(config: Config, words: bytes) -> AsyncIterator[None]:
    """Somebody at the holder's address who says this, and listens to nobody."""
    clients: list[asyncio.StreamWriter] = []

    def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        clients.append(writer)
        writer.write(words)

    address = holder_paths(config)[0]
    server = await asyncio.start_unix_server(talk, str(address))
    try:
        yield
    finally:
        server.close()
        address.unlink()
        for writer in clients:
            writer.transport.abort()
        await asyncio.sleep(0.01)


def test_a_holder_that_is_silent_is_given_up_and_found_again(tmp_path: Path) -> None:
    async def play() -> None:
        config = config_in(tmp_path)
        link = open_link(config, "one")
        async with saying(config, b""):
            assert await answer_of(link, ask()) is None
        async with serving(config):
            await until_it_answers(link, ask(0))
            assert await answer_of(link, ask(10)) == [10]
            await link.close()

    asyncio.run(play())


@pytest.mark.parametrize("nonsense", [b"\xff\xff\xff\xffx", framed("no answer"), framed((1, "no list"))])
def test_nonsense_instead_of_an_answer_is_no_answer(tmp_path: Path, nonsense: bytes) -> None:
    async def play() -> None:
        config = config_in(tmp_path)
        link = open_link(config, "one")
        async with saying(config, nonsense):
            assert await answer_of(link, ask()) is None
            await link.close()

    asyncio.run(play())


def test_nonsense_of_one_relay_does_not_hurt_another(tmp_path: Path) -> None:
    async def play() -> None:
        config = config_in(tmp_path)
        async with serving(config):
            link = open_link(config, "one")
            assert await answer_of(link, ask(1)) == [1]
            _, writer = await asyncio.open_unix_connection(str(holder_paths(config)[0]))
            writer.write(framed("what?"))
            await writer.drain()
            assert await answer_of(link, ask(9)) == [9]
            writer.transport.abort()
            await link.close()

    asyncio.run(play())


def test_redis_is_killed_and_comes_back_without_what_it_knew(tmp_path: Path) -> None:
    async def play() -> None:
        with running_redis(tmp_path / "redis") as server:
            config = config_in(tmp_path, holder=server.url)
            link = open_link(config, "one")
            assert await answer_of(link, ask(7)) == [7]
            truth = link.truth
            server.kill()
            assert await answer_of(link, ask()) is None
            server.start()
            assert await answer_of(link, ask(1, known=7)) is None  # so long all relays tell what they know
            assert link.truth != truth
            assert await until_it_answers(link, ask(4, known=7)) == [0]
            assert await answer_of(link, ask(3, known=7)) == [3]
            await link.close()

    asyncio.run(play())


def test_what_is_asked_while_redis_answers_goes_with_the_next_message(tmp_path: Path) -> None:
    async def play() -> None:
        with running_redis(tmp_path / "redis") as server:
            link = open_link(config_in(tmp_path, holder=server.url), "one")
            answers = await asyncio.gather(*[answer_of(link, ask(1), ask(0)) for _ in range(200)])
            assert sum(granted[0] for granted in answers if granted) == 10
            await link.close()

    asyncio.run(play())


@pytest.mark.parametrize("url", ["redis//nowhere", "http://somewhere"])
def test_an_address_that_is_none_is_refused_with_how_to_write_it(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match="write it like redis://"):
        open_link(config_in(tmp_path, holder=url), "one")
