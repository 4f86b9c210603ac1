"""A connection carries another call only where nothing of the last one is left in it, on either side."""

import asyncio
import select
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.clocks import JumpingClock
from support.receivers import Recorder
from support.scripted import Line, Play, scripted
from support.servers import closing, pool_of, tls_pair, upstream_at
from tokenweir.upstream import Pool, UpstreamConnection

pytestmark = pytest.mark.anyio

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
BAD = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nbad"
REFUSED = b"HTTP/1.1 413 Too large\r\ncontent-length: 2\r\n\r\nno"
ASK = b"GET / HTTP/1.1\r\n\r\n"


@contextmanager
def pool_for(play: Play, folder: Path, *, tls: bool, reuse: bool = True) -> Iterator[Pool]:
    context, authority = tls_pair("localhost") if tls else (None, None)
    bundle = None
    if authority is not None:
        bundle = str(folder / "ca.pem")
        authority.cert_pem.write_to_path(bundle)
    with scripted(play, context) as upstream:
        url = upstream.url.replace("127.0.0.1", "localhost") if tls else upstream.url
        yield pool_of(upstream_at(url, ca_bundle=bundle, reuse_connections=reuse), JumpingClock())


both = pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])


async def call(connection: UpstreamConnection, request: bytes = ASK) -> Recorder:
    recorder = Recorder()
    connection.begin(recorder, request, is_head_request=False)
    return await recorder.over()


def wait_readable(connection: UpstreamConnection) -> None:
    """Holds the loop until the kernel has something for the connection, so that the loop cannot have read it."""
    assert connection._transport is not None
    fd = connection._transport.get_extra_info("socket").fileno()
    assert select.select([fd], [], [], 20)[0]


@both
async def test_a_request_that_was_refused_before_it_was_written_takes_its_connection_with_it(
    tmp_path: Path, tls: bool
) -> None:
    def play(line: Line) -> None:
        line.read_head()
        line.send(REFUSED)
        over.wait(20)

    over = threading.Event()
    with pool_for(play, tmp_path, tls=tls) as pool:
        async with closing(pool):
            connection = await pool.connect()
            recorder = await call(connection, b"POST / HTTP/1.1\r\n\r\n" + b"x" * 20_000_000)
            assert (recorder.status, recorder.body) == (413, b"no")
            assert connection.is_closed and pool.take() is None
            over.set()


@both
@pytest.mark.parametrize("extra", [BAD, b"H", b""], ids=["an answer", "a byte", "the end"])
async def test_what_an_idle_connection_brought_is_noticed_in_the_instant_before_it_is_taken(
    tmp_path: Path, tls: bool, extra: bytes
) -> None:
    def play(line: Line) -> None:
        line.read_head()
        line.send(OK)
        idle.wait(20)
        if extra:
            line.send(extra)
            over.wait(20)

    idle, over = threading.Event(), threading.Event()
    with pool_for(play, tmp_path, tls=tls) as pool:
        async with closing(pool):
            connection = await pool.connect()
            assert (await call(connection)).body == b"ok"
            assert "1 idle" in repr(pool)
            idle.set()
            wait_readable(connection)
            assert pool.take() is None
            assert connection.is_closed
            over.set()


@both
async def test_a_quiet_connection_is_taken_again(tmp_path: Path, tls: bool) -> None:
    def play(line: Line) -> None:
        while True:
            line.read_head()
            line.send(OK)

    with pool_for(play, tmp_path, tls=tls) as pool:
        async with closing(pool):
            connection = await pool.connect()
            for _ in range(3):
                assert (await call(connection)).body == b"ok"
                assert pool.take() is connection


async def test_an_answer_that_ends_while_it_is_held_back_ends_its_tls_connection(tmp_path: Path) -> None:
    def play(line: Line) -> None:
        line.read_head()
        line.send(OK)
        over.wait(20)

    over = threading.Event()
    with pool_for(play, tmp_path, tls=True) as pool:
        async with closing(pool):
            connection = await pool.connect()
            recorder = Recorder(on_head=connection.pause_reading)
            connection.begin(recorder, ASK, is_head_request=False)
            assert (await recorder.over()).body == b"ok"
            assert pool.take() is None
            over.set()


@both
async def test_an_upstream_that_is_not_trusted_with_it_gets_a_connection_for_each_call(
    tmp_path: Path, tls: bool
) -> None:
    numbers = []

    def play(line: Line) -> None:
        numbers.append(line.number)
        line.read_head()
        line.send(OK)
        line.wait_closed()

    with pool_for(play, tmp_path, tls=tls, reuse=False) as pool:
        async with closing(pool):
            for _ in range(3):
                assert pool.take() is None
                connection = await pool.connect()
                assert (await call(connection)).body == b"ok"
                assert connection.is_closed
    assert numbers == [0, 1, 2]


@both
async def test_two_answers_at_once_are_one_answer_and_a_closed_connection(tmp_path: Path, tls: bool) -> None:
    def play(line: Line) -> None:
        line.read_head()
        line.send(OK + BAD)
        line.wait_closed()

    with pool_for(play, tmp_path, tls=tls) as pool:
        async with closing(pool):
            connection = await pool.connect()
            assert (await call(connection)).body == b"ok"
            await asyncio.sleep(0)
            assert pool.take() is None
