"""Connections are opened, kept, reused and closed; whatever fails is told in words with the fix."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from support.clocks import JumpingClock
from support.receivers import MemoryTransport, Recorder
from support.servers import (
    answering,
    closed_port,
    closing,
    pool_of,
    read_head,
    serving,
    tls_pair,
    until,
    upstream_at,
)
from tokenweir.errors import UpstreamUnreachable
from tokenweir.upstream import Pool, UpstreamConnection

pytestmark = pytest.mark.anyio

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


async def call(connection: UpstreamConnection, *, head: bool = False) -> Recorder:
    recorder = Recorder()
    connection.begin(recorder, b"GET / HTTP/1.1\r\n\r\n", is_head_request=head)
    return await recorder.over()


# --- real answers over real sockets ---


@pytest.mark.parametrize(
    ("answer", "body", "reused"),
    [
        (OK, b"ok", True),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", b"ok", True),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", b"", True),
        (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n", b"", True),
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok", b"ok", False),
        (OK + b"rubbish", b"ok", False),
    ],
)
async def test_a_connection_serves_again_where_its_answer_allows(answer: bytes, body: bytes, reused: bool) -> None:
    async with (
        serving(answering(answer, OK)) as port,
        closing(pool_of(upstream_at(f"http://127.0.0.1:{port}"), JumpingClock())) as pool,
    ):
        assert pool.take() is None
        connection = await pool.connect()
        recorder = await call(connection)
        assert (recorder.body, recorder.ends) == (body, 1)
        again = pool.take()
        assert (again is connection) is reused
        if again is not None:
            assert (await call(again)).body == b"ok"


async def test_a_body_without_a_length_ends_with_the_connection() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nall of it")

    async with (
        serving(script) as port,
        closing(pool_of(upstream_at(f"http://127.0.0.1:{port}"), JumpingClock())) as pool,
    ):
        recorder = await call(await pool.connect())
        assert (recorder.body, recorder.ends) == (b"all of it", 1)
        assert pool.take() is None


@pytest.mark.parametrize(("sent", "body"), [(b"", b""), (b"HTTP/1.1 200 OK\r\ncontent-le", b""), (OK[:-1], b"o")])
async def test_an_upstream_that_dies_is_told_once(sent: bytes, body: bytes) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(sent)

    async with (
        serving(script) as port,
        closing(pool_of(upstream_at(f"http://127.0.0.1:{port}"), JumpingClock())) as pool,
    ):
        recorder = await call(await pool.connect())
        assert (recorder.body, recorder.ends, len(recorder.reasons)) == (body, 0, 1)


async def test_the_answer_to_a_head_request_has_no_body() -> None:
    async with (
        serving(answering(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n")) as port,
        closing(pool_of(upstream_at(f"http://127.0.0.1:{port}"), JumpingClock())) as pool,
    ):
        recorder = await call(await pool.connect(), head=True)
        assert (recorder.body, recorder.ends) == (b"", 1)


# --- who is idle ---


async def test_the_connection_used_last_goes_first() -> None:
    async with (
        serving(answering(OK)) as port,
        closing(pool_of(upstream_at(f"http://127.0.0.1:{port}"), JumpingClock())) as pool,
    ):
        first, second = await pool.connect(), await pool.connect()
        await call(second)
        await call(first)
        assert [pool.take(), pool.take(), pool.take()] == [first, second, None]


async def test_a_connection_nobody_used_for_a_while_is_closed() -> None:
    clock = JumpingClock()
    async with serving(answering(OK)) as port, closing(pool_of(upstream_at(f"http://127.0.0.1:{port}"), clock)) as pool:
        old, young = await pool.connect(), await pool.connect()
        await call(old)
        clock.jump(30)
        await call(young)
        pool.close_aged()
        assert not old.is_closed
        clock.jump(21)
        pool.close_aged()
        assert old.is_closed and not young.is_closed
        assert [pool.take(), pool.take()] == [young, None]


async def test_a_connection_the_upstream_closed_is_not_given_again() -> None:
    hang_up = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(OK)
        await hang_up.wait()

    async with (
        serving(script) as port,
        closing(pool_of(upstream_at(f"http://127.0.0.1:{port}"), JumpingClock())) as pool,
    ):
        connection = await pool.connect()
        await call(connection)
        assert repr(pool) == "<Pool sweden [0 active, 1 idle, 0 opening]>"
        hang_up.set()
        await until(lambda: connection.is_closed)
        assert pool.take() is None
        assert repr(pool).endswith("0 idle, 0 opening]>")


async def test_its_state_can_be_seen_and_never_goes_below_nothing() -> None:
    async with (
        serving(answering(OK, OK + b"extra")) as port,
        closing(pool_of(upstream_at(f"http://127.0.0.1:{port}"), JumpingClock())) as pool,
    ):
        connection = await pool.connect()
        assert repr(pool) == "<Pool sweden [1 active, 0 idle, 0 opening]>"
        await call(connection)
        assert repr(pool) == "<Pool sweden [0 active, 1 idle, 0 opening]>"
        connection.abandon()  # as an answer nobody asked for does
        await until(lambda: not pool._open)
        assert repr(pool) == "<Pool sweden [0 active, 0 idle, 0 opening]>"


async def test_a_closed_pool_closes_what_is_idle_at_once_and_what_is_busy_when_it_ends() -> None:
    async with (
        serving(answering(OK)) as port,
        closing(pool_of(upstream_at(f"http://127.0.0.1:{port}"), JumpingClock())) as pool,
    ):
        idle, busy = await pool.connect(), await pool.connect()
        await call(idle)
        recorder = Recorder()
        busy.begin(recorder, b"GET / HTTP/1.1\r\n\r\n", is_head_request=False)
        pool.close()
        assert idle.is_closed and not busy.is_closed
        await recorder.over()
        assert recorder.body == b"ok"
        assert busy.is_closed and pool.take() is None


# --- what cannot be opened ---


async def test_a_port_where_nobody_listens_is_told_with_its_address_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    port = closed_port()
    pool = pool_of(upstream_at(f"http://127.0.0.1:{port}"), JumpingClock())
    with pytest.raises(UpstreamUnreachable) as refused:
        await pool.connect()
    assert "`sweden` cannot be reached: Connection refused" in str(refused.value)
    assert "127.0.0.1" not in str(refused.value)
    assert f"sweden (127.0.0.1:{port}) cannot be reached: Connection refused" in caplog.text
    assert "tokenweir doctor" in caplog.text
    assert isinstance(refused.value.__context__, ConnectionRefusedError)
    assert repr(pool) == "<Pool sweden [0 active, 0 idle, 0 opening]>"


async def test_a_connection_that_is_not_made_in_time_is_told_with_the_limit() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(silent) as port:
        pool = pool_of(upstream_at(f"https://127.0.0.1:{port}", connect_timeout=0.05), JumpingClock())
        with pytest.raises(UpstreamUnreachable, match=r"no connection within 0.05 s"):
            await pool.connect()
    assert repr(pool) == "<Pool sweden [0 active, 0 idle, 0 opening]>"


async def test_no_more_connections_are_opened_than_allowed(caplog: pytest.LogCaptureFixture) -> None:
    async with (
        serving(answering(OK)) as port,
        closing(pool_of(upstream_at(f"http://127.0.0.1:{port}", max_connections=2), JumpingClock())) as pool,
    ):
        opened = await asyncio.gather(*(pool.connect() for _ in range(3)), return_exceptions=True)
        refusals = [one for one in opened if isinstance(one, BaseException)]
        assert len(refusals) == 1
        assert isinstance(refusals[0], UpstreamUnreachable)
        assert "all 2 connections" in str(refusals[0])
        assert "raise max_connections" in caplog.text
        next(one for one in opened if isinstance(one, UpstreamConnection)).abandon()
        await until(lambda: len(pool._open) < 2)
        assert not (await pool.connect()).is_closed


async def test_a_connection_closed_before_it_could_be_used_is_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = pool_of(upstream_at("http://127.0.0.1:9"), JumpingClock())

    async def open_and_lose(
        factory: Callable[[], UpstreamConnection], host: str, port: int
    ) -> tuple[MemoryTransport, UpstreamConnection]:
        connection = factory()
        transport = MemoryTransport(connection)
        transport.hang_up()
        return transport, connection

    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", open_and_lose)
    with pytest.raises(UpstreamUnreachable, match="closed a new connection at once"):
        await pool.connect()
    assert repr(pool) == "<Pool sweden [0 active, 0 idle, 0 opening]>"


async def test_nothing_is_left_of_a_connection_whose_client_went_away() -> None:
    reached = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.set()
        await reader.read()

    async with serving(silent) as port:
        pool = pool_of(upstream_at(f"https://127.0.0.1:{port}"), JumpingClock())
        opening = asyncio.ensure_future(pool.connect())
        await reached.wait()
        assert repr(pool) == "<Pool sweden [0 active, 0 idle, 1 opening]>"
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        assert repr(pool) == "<Pool sweden [0 active, 0 idle, 0 opening]>"


# --- TLS ---


async def test_a_certificate_of_ones_own_authority_is_trusted_with_ca_bundle(tmp_path: Path) -> None:
    tls, authority = tls_pair("localhost")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    async with serving(answering(OK), tls) as port:
        settings = upstream_at(f"https://localhost:{port}", ca_bundle=str(tmp_path / "ca.pem"))
        async with closing(pool_of(settings, JumpingClock())) as pool:
            connection = await pool.connect()
            assert (await call(connection)).body == b"ok"
            again = pool.take()
            assert again is connection
            assert (await call(again)).body == b"ok"


async def test_a_certificate_nobody_vouches_for_is_refused_and_ca_bundle_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tls, _ = tls_pair("localhost")
    _, another = tls_pair("localhost")
    another.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    async with serving(answering(OK), tls) as port:
        for bundle in (None, str(tmp_path / "ca.pem")):
            pool = pool_of(upstream_at(f"https://localhost:{port}", ca_bundle=bundle), JumpingClock())
            with pytest.raises(UpstreamUnreachable, match="the TLS handshake failed"):
                await pool.connect()
            assert "CERTIFICATE_VERIFY_FAILED" in caplog.text and "set ca_bundle" in caplog.text
            caplog.clear()


async def test_one_that_stays_away_is_in_the_log_now_and_then_and_not_with_each_call(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = JumpingClock()
    pool = pool_of(upstream_at(f"http://127.0.0.1:{closed_port()}"), clock)
    for seconds, lines in ((0, 1), (9, 1), (2, 2)):
        clock.jump(seconds)
        for _ in range(3):
            with pytest.raises(UpstreamUnreachable):
                await pool.connect()
        assert len(caplog.messages) == lines


async def test_a_certificate_for_another_name_is_refused(tmp_path: Path) -> None:
    tls, authority = tls_pair("elsewhere.example")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    async with serving(answering(OK), tls) as port:
        for host in ("localhost", "127.0.0.1"):
            settings = upstream_at(f"https://{host}:{port}", ca_bundle=str(tmp_path / "ca.pem"))
            with pytest.raises(UpstreamUnreachable, match="TLS handshake"):
                await pool_of(settings, JumpingClock()).connect()


async def test_a_certificate_for_the_name_is_not_one_for_the_address(tmp_path: Path) -> None:
    tls, authority = tls_pair("localhost")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    async with serving(answering(OK), tls) as port:
        settings = upstream_at(f"https://127.0.0.1:{port}", ca_bundle=str(tmp_path / "ca.pem"))
        with pytest.raises(UpstreamUnreachable, match="TLS handshake"):
            await pool_of(settings, JumpingClock()).connect()


async def test_a_port_that_speaks_no_tls_is_told_so() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with serving(plain) as port:
        pool = pool_of(upstream_at(f"https://localhost:{port}"), JumpingClock())
        with pytest.raises(UpstreamUnreachable, match="TLS handshake"):
            await pool.connect()


# --- answers nobody wants ---


async def drained(pool: Pool, connection: UpstreamConnection) -> None:
    """Begins a call whose answer is drained from its head on; returns when the head has come."""
    come = asyncio.Event()

    def drain() -> None:
        pool.drain(connection)
        come.set()

    connection.begin(Recorder(on_head=drain), b"GET / HTTP/1.1\r\n\r\n", is_head_request=False)
    await come.wait()


async def test_a_short_answer_nobody_wants_is_read_to_its_end_and_the_connection_serves_again() -> None:
    sent = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(b"HTTP/1.1 429 Slow\r\ncontent-length: 1000\r\n\r\n")
        await sent.wait()
        writer.write(b"x" * 1000)
        await reader.read()

    clock = JumpingClock()
    async with serving(script) as port, closing(pool_of(upstream_at(f"http://127.0.0.1:{port}"), clock)) as pool:
        connection = await pool.connect()
        await drained(pool, connection)
        assert pool.take() is None
        sent.set()
        await until(lambda: "1 idle" in repr(pool))
        assert pool.take() is connection
        clock.jump(60)
        pool.close_aged()
        assert not connection.is_closed  # it is in use, and its drain is over


async def test_an_answer_drained_at_its_end_frees_the_connection_at_once() -> None:
    async with (
        serving(answering(b"HTTP/1.1 429 Slow\r\ncontent-length: 0\r\n\r\n")) as port,
        closing(pool_of(upstream_at(f"http://127.0.0.1:{port}"), JumpingClock())) as pool,
    ):
        connection = await pool.connect()
        await drained(pool, connection)
        assert pool.take() is connection


async def test_a_drain_ends_at_its_size_and_at_its_time() -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(b"HTTP/1.1 500 Oh\r\ncontent-length: 99999999\r\n\r\n" + b"x" * 100_000)
        await reader.read()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(b"HTTP/1.1 500 Oh\r\ncontent-length: 5\r\n\r\n")
        await reader.read()

    clock = JumpingClock()
    async with serving(endless) as port, closing(pool_of(upstream_at(f"http://127.0.0.1:{port}"), clock)) as pool:
        connection = await pool.connect()
        await drained(pool, connection)
        await until(lambda: connection.is_closed)
    async with serving(silent) as port, closing(pool_of(upstream_at(f"http://127.0.0.1:{port}"), clock)) as pool:
        connection = await pool.connect()
        await drained(pool, connection)
        clock.jump(9)
        pool.close_aged()
        assert not connection.is_closed
        clock.jump(2)
        pool.close_aged()
        assert connection.is_closed
