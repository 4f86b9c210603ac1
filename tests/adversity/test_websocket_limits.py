"""WebSockets that are large, slow, long, or in the way when the gateway stops."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from support.disks import fill_up
from support.raw_client import RawClient, chat_request
from support.relay_thread import RelayThread, running_relay
from support.scripted import Line
from support.servers import TunnelProxy, tls_pair
from support.websocket_frames import CLOSE, MASK, PING, SWITCHED, TEXT, asks, event_frame, frame, opened, saying
from support.world import World
from tokenweir.gateway.call import Call
from tokenweir.policy import CallerSettings, Keyring
from tokenweir.upstream import CredentialSettings, UpstreamSettings

FAULTY = "/openai/v1/realtime?model=faulty"
DONE = event_frame(
    type="response.done",
    response={"id": "resp_1", "status": "completed", "usage": {"input_tokens": 3, "output_tokens": 4}},
)
GOING_AWAY = b"\x03\xe9"
# Longer than what is left of a page that the journal has already been given.
LONG = b'{"messages":[{"role":"user","content":"%b"}]}' % (b"What does a weir do? " * 1000)
HUGE = 48 * 1024 * 1024


def open_sockets(relay: RelayThread) -> int:
    return sum(call.socket is not None for call in relay.process.data_plane.calls)


def test_a_frame_of_many_megabytes_passes_in_both_directions_without_being_held(world: World) -> None:
    most = [0]

    def play(line: Line) -> None:
        line.read_head()
        line.send(SWITCHED + b"\r\n")
        head = line.read(14)
        seen = 0
        while seen < HUGE:
            seen += len(line.read(min(1 << 20, HUGE - seen)))
        line.send(frame(TEXT, b"")[:1] + b"\x7f" + HUGE.to_bytes(8, "big"))
        for _ in range(HUGE >> 20):
            line.send(head[:1] * (1 << 20))
        line.send(DONE)
        line.wait_closed()

    relay = world.relay(world.upstream(play))
    with opened(relay, asks(FAULTY)) as client:
        client.send(bytes([0x82, 0xFF]) + HUGE.to_bytes(8, "big") + MASK)
        for _ in range(HUGE >> 20):
            client.send(b"\0" * (1 << 20))
        assert client.read(10)[:2] == b"\x81\x7f"
        for _ in range(HUGE >> 20):
            client.read(1 << 20)
            (call,) = relay.inside(lambda: list(relay.process.data_plane.calls))
            assert call.socket is not None
            pieces = call.socket._meter._pieces if call.socket._meter is not None else []
            most[0] = max(most[0], sum(map(len, pieces)))
        assert client.read(len(DONE)) == DONE
    response, session = relay.records(2)
    assert (response.usage.total_tokens, session.bytes_in, session.bytes_out) == (7, HUGE + 14, HUGE + 10 + len(DONE))
    assert most[0] < 512 * 1024


@pytest.mark.parametrize("world", ["uvicorn"], indirect=True)
def test_in_a_host_a_message_that_is_too_long_to_be_put_together_ends_the_socket(world: World) -> None:
    told = []

    def play(line: Line) -> None:
        line.read_head()
        line.send(SWITCHED + b"\r\n")
        line.send(frame(TEXT, b"")[:1] + b"\x7f" + HUGE.to_bytes(8, "big"))
        try:
            for _ in range(HUGE >> 20):
                line.send(b"x" * (1 << 20))
        except OSError:
            pass  # nobody takes the rest
        told.append(True)
        line.wait_closed()

    relay = world.relay(world.upstream(play))
    with opened(relay, asks(FAULTY)) as client:
        assert client.read_to_end()[:4] == b"\x88\x02\x03\xf1"
    (record,) = relay.records(1)
    assert (record.operation, record.error_code) == ("session", None)


@pytest.mark.parametrize("world", ["fast", "uvicorn"], indirect=True)
@pytest.mark.parametrize("slow", ["client", "upstream"])
def test_a_side_that_does_not_read_stops_the_other_one(world: World, slow: str) -> None:
    piece = frame(2, b"x" * 65_000, mask=MASK if slow == "upstream" else b"")
    is_held_back, leave = threading.Event(), threading.Event()
    sent = [0]

    def flood(sock: socket.socket) -> None:
        sock.settimeout(0.5)
        try:
            while sent[0] < 2000:
                sock.sendall(piece)
                sent[0] += 1
        except TimeoutError:
            pass  # nobody takes any more
        is_held_back.set()

    def play(line: Line) -> None:
        line.read_head()
        line.send(SWITCHED + b"\r\n")
        if slow == "client":
            flood(line.socket)
        leave.wait(20)

    relay = world.relay(world.upstream(play))
    with opened(relay, asks(FAULTY)) as client:
        if slow == "upstream":
            flood(client.socket)
        assert is_held_back.wait(20)
        assert 0 < sent[0] < 2000
        sizes = relay.inside(
            lambda: [
                side._transport.get_write_buffer_size()
                for call in relay.process.data_plane.calls
                if call.socket is not None
                for side in (call.socket.client, call.socket.upstream)
                if side._transport is not None
            ]
        )
        assert 64 * 1024 <= max(sizes) < 1024 * 1024
        leave.set()
    assert relay.records(1)[0].operation == "session"


def test_only_a_socket_on_which_nothing_passes_is_ended_and_both_sides_are_told(world: World) -> None:
    told = []

    def play(line: Line) -> None:
        line.read_head()
        line.send(SWITCHED + b"\r\n" + frame(PING, b"1"))
        told.append(line.read(len(frame(PING, b"2", mask=MASK))))
        told.append(line.read(8))
        line.wait_closed()

    relay = world.relay(world.upstream(play), server={"socket_idle_timeout": 600.0})
    with opened(relay, asks(FAULTY)) as client:
        assert client.read(3) == frame(PING, b"1")
        relay.jump(599)
        client.send(frame(PING, b"2", mask=MASK))
        relay.until(lambda: len(told) == 1)
        relay.jump(599)
        assert relay.inside(lambda: open_sockets(relay)) == 1
        relay.jump(601)
        assert client.read_to_end() == frame(CLOSE, GOING_AWAY)
    relay.until(lambda: len(told) == 2)
    assert told[1] == frame(CLOSE, GOING_AWAY, mask=b"\0\0\0\0")
    (record,) = relay.records(1)
    assert (record.operation, record.outcome, record.error_code) == ("session", "timed_out", "upstream_timeout")


@pytest.mark.parametrize("policy", ["end", "finish"])
def test_a_socket_outlives_its_key_only_where_that_is_wanted(world: World, policy: str) -> None:
    told = []

    def play(line: Line) -> None:
        line.read_head()
        line.send(SWITCHED + b"\r\n" + event_frame(type="response.created", response={"id": "resp_1"}))
        told.append(line.read(8))
        line.wait_closed()

    upstream = world.upstream(play)
    relay = world.relay(upstream, server={"on_key_revoked": policy})
    others = [CallerSettings("team-b", "0" * 64)]
    with opened(relay, asks(FAULTY)) as client:
        client.read(len(event_frame(type="response.created", response={"id": "resp_1"})))
        data_plane = relay.process.data_plane
        before = data_plane.services.keyring
        relay.inside(lambda: data_plane.configure(keyring=Keyring([], [], unreadable=True)))
        assert relay.inside(lambda: open_sockets(relay)) == 1  # nobody knows whether it is revoked
        relay.inside(lambda: data_plane.configure(keyring=Keyring(others, [])))
        if policy == "finish":
            assert relay.inside(lambda: open_sockets(relay)) == 1
            client.send(frame(CLOSE, b"\x03\xe8", mask=MASK))
            client.half_close()
        else:
            assert client.read_to_end() == frame(CLOSE, b"\x03\xf0")
        relay.inside(lambda: data_plane.configure(keyring=before))
    upstream.wait_for_end()
    response, session = relay.records(2)
    if policy == "end":
        assert told == [frame(CLOSE, b"\x03\xf0", mask=b"\0\0\0\0")]
        assert (session.operation, session.outcome, session.error_code) == ("session", "aborted", "invalid_api_key")
        assert (response.outcome, response.usage.reason) == ("aborted", "cut")
    else:
        assert session.error_code is None


@pytest.mark.parametrize("durability", ["batch", "strict"])
@pytest.mark.parametrize("inside_a_frame", [False, True])
def test_a_gateway_that_stops_says_so_where_a_frame_can_stand(
    world: World, durability: str, inside_a_frame: bool
) -> None:
    told = []

    def play(line: Line) -> None:
        line.read_head()
        line.send(SWITCHED + b"\r\n" + event_frame(type="response.created", response={"id": "resp_1"}))
        if inside_a_frame:
            line.send(frame(TEXT, b"half a frame")[:5])
        told.append(line.read(8))
        line.wait_closed()

    upstream = world.upstream(play)
    relay = world.relay(upstream, journal={"durability": durability}, server={"shutdown_grace": 0.05})
    with opened(relay, asks(FAULTY)) as client:
        begun = client.read(len(event_frame(type="response.created", response={"id": "resp_1"})))
        assert b"resp_1" in begun
        if inside_a_frame:
            client.read(5)
        relay.tell_to_stop()
        assert client.read_to_end() == (b"" if inside_a_frame else frame(CLOSE, GOING_AWAY))
    relay.thread.join(20)
    upstream.wait_for_end()
    assert told == [frame(CLOSE, GOING_AWAY, mask=b"\0\0\0\0")]
    response, session = relay.records(2)
    assert (response.outcome, response.usage.reason, response.error_code) == ("aborted", "cut", "shutting_down")
    assert (session.operation, session.outcome) == ("session", "aborted")


def test_strict_the_end_of_a_response_waits_for_its_record(world: World) -> None:
    relay = world.relay(
        world.upstream(saying(DONE, frame(TEXT, b"behind"), frame(CLOSE, b"\x03\xe8"))),
        journal={"durability": "strict"},
    )
    with opened(relay, asks(FAULTY)) as client:
        client.read(len(DONE))
        assert len(relay.records(1)) >= 1  # it is there when the client has it
        assert client.read(8) == frame(TEXT, b"behind")
        client.send(frame(CLOSE, b"\x03\xe8", mask=MASK))
    assert [record.outcome for record in relay.records(2)] == ["completed", "completed"]


@pytest.mark.parametrize("durability", ["batch", "strict"])
def test_a_socket_ends_when_its_records_cannot_be_written_for_long(world: World, durability: str) -> None:
    answer_now = threading.Event()

    def play(line: Line) -> None:
        line.read_head()
        line.send(SWITCHED + b"\r\n" + frame(PING, b""))
        answer_now.wait(20)
        line.send(DONE)
        line.wait_closed()

    disk = world.small_disk()
    relay = world.relay(world.upstream(play), folder=disk, journal={"durability": durability, "content": "full"})
    with opened(relay, asks(FAULTY)) as client, RawClient(relay.address) as other:
        client.read(2)
        filler = fill_up(disk)
        other.send(chat_request(body=LONG))
        relay.until(lambda: relay.journal.status().failing_since)
        answer_now.set()
        if durability == "batch":
            assert client.read(len(DONE)) == DONE
        else:
            relay.until(lambda: [call for call in relay.process.data_plane.calls if is_held(call)])
        relay.jump(29)
        assert relay.inside(lambda: open_sockets(relay)) == 1
        relay.jump(31)
        filler.unlink()
        assert client.read_to_end() == (frame(CLOSE, b"\x03\xf5") if durability == "batch" else DONE)
        relay.until(lambda: relay.journal.accepts_calls)
    records = [record for record in relay.records(3) if record.api == "realtime"]
    assert [(record.operation, record.outcome, record.usage.total_tokens) for record in records] == [
        ("realtime", "completed", 7),
        ("session", "aborted", 0),
    ]
    assert world.errors.taken()


def is_held(call: Call) -> bool:
    return call.socket is not None and call.socket.upstream._waits_for_disk


@contextmanager
def tls_upstream(context: ssl.SSLContext, proxy: TunnelProxy) -> Iterator[tuple[int, int]]:
    """A WebSocket's server behind TLS, and a proxy that makes tunnels; gives their ports."""
    started, stop = threading.Event(), threading.Event()
    ports: list[int] = []

    async def agree(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(SWITCHED + b"\r\n" + DONE)
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def serve() -> None:
        upstream = await asyncio.start_server(agree, "127.0.0.1", 0, ssl=context)
        tunnel = await asyncio.start_server(proxy.script, "127.0.0.1", 0)
        ports.extend(server.sockets[0].getsockname()[1] for server in (upstream, tunnel))
        started.set()
        await asyncio.to_thread(stop.wait)
        for server in (upstream, tunnel):
            server.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert started.wait(20)
        yield ports[0], ports[1]
    finally:
        stop.set()
        thread.join(20)


def test_a_socket_goes_through_a_proxy_and_tls(tmp_path: Path) -> None:
    context, authority = tls_pair("127.0.0.1")
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(bundle)
    proxy = TunnelProxy()
    with tls_upstream(context, proxy) as (port, proxy_port):
        settings = UpstreamSettings("far", f"https://127.0.0.1:{port}", CredentialSettings(key="upstream-key"))
        settings = replace(settings, ca_bundle=str(bundle), proxy=f"http://127.0.0.1:{proxy_port}")
        with running_relay(tmp_path, [settings]) as relay, opened(relay, asks()) as client:
            assert client.read(len(DONE)) == DONE
            echoed = frame(2, bytes(range(256)) * 2000, mask=MASK)
            client.send(echoed)
            assert client.read(len(echoed)) == echoed
            client.send(frame(CLOSE, b"\x03\xe8", mask=MASK))
            assert client.read(8) == frame(CLOSE, b"\x03\xe8", mask=MASK)
            client.half_close()
            response, session = relay.records(2)
    assert (response.usage.total_tokens, session.outcome, session.backend) == (7, "completed", "far")
    assert proxy.heads[0].startswith(b"CONNECT 127.0.0.1:")


def test_frames_that_come_before_the_upstream_has_agreed_are_passed_on(world: World) -> None:
    came: list[bytes] = []

    def play(line: Line) -> None:
        line.read_head()
        early.wait(20)
        line.send(SWITCHED + b"\r\n")
        came.append(line.read(len(eager)))
        line.send(frame(CLOSE, b""))
        line.wait_closed()

    early, eager = threading.Event(), frame(TEXT, b'{"type":"session.update"}', mask=MASK) * 3
    relay = world.relay(world.upstream(play))
    with RawClient(relay.address) as client:
        client.send(asks(FAULTY) + eager[:20])
        client.send(eager[20:])
        relay.until(
            lambda: [client for client in relay.process.data_plane.clients if client._reader.waiting == len(eager)]
        )
        early.set()
        assert client.read_head()[0] == 101
        assert client.read(2) == frame(CLOSE, b"")
    assert came == [eager]
    assert relay.record().outcome == "completed"


def test_a_client_that_leaves_before_the_upstream_has_agreed_leaves_nothing_behind(world: World) -> None:
    asked = threading.Event()

    def play(line: Line) -> None:
        line.read_head()
        asked.set()
        line.wait_closed()

    upstream = world.upstream(play)
    relay = world.relay(upstream, server={"on_client_gone": "drain"})
    with RawClient(relay.address) as client:
        client.send(asks(FAULTY))
        assert asked.wait(20)
    upstream.wait_for_end()
    (record,) = relay.records(1)
    assert (record.outcome, record.status, record.usage.source) == ("client_gone", None, "none")
