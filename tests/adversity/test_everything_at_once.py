"""A day on which everything goes wrong at once: whatever happened, the relay is well and every call has its record.

Which thing goes wrong when is left to chance; a failure names the seed.
"""

import random
import threading

import pytest

from support.raw_client import RawClient, chat_request, upload_head
from support.relay_thread import RelayThread
from support.scripted import Line, Play
from support.streams import DONE, LAST_CHUNK, STREAM_HEAD, USAGE, answer, chunked, frame
from support.world import World
from tokenweir.simulator import Script

CLIENTS = 6
CONNECTIONS = 40  # of each client, one after the other


def moody(seed: int) -> Play:
    """An upstream that answers well now and then, and otherwise badly in every way there is."""
    last = [
        answer(b""),
        answer(b"{}", status="429 Too Many Requests"),
        answer(b'{"error":{"message":"stream_options"}}', status="400 Bad Request"),
        b"HTTP/1.1 204 No Content\r\n\r\n",
    ]

    def play(line: Line) -> None:
        chance = random.Random(seed + line.number)
        while True:
            line.read_head()
            frames = [frame("x" * chance.randrange(1, 3000)) for _ in range(chance.randrange(40))]
            match chance.randrange(10):
                case 0:
                    return line.reset()
                case 1:
                    return line.send(b"garbage\r\n\r\n")
                case 2:
                    line.send(STREAM_HEAD + chunked(*frames))
                    return line.reset()
                case 3:
                    return line.send(STREAM_HEAD + chunked(*frames))
                case 4:
                    return line.send(b"HTTP/1.1 200 OK\r\n\r\nuntil the close")
                case 5:
                    line.send(answer(b"x" * chance.randrange(500_000)))
                case 6:
                    line.send(chance.choice(last))
                case _:
                    line.send(STREAM_HEAD + chunked(*frames, USAGE, DONE) + LAST_CHUNK)

    return play


def request(chance: random.Random) -> bytes:
    where = chance.choice(["faulty", "gpt-4o"])
    match chance.randrange(5):
        case 0:
            return upload_head(5000, deployment="faulty") + b"x" * 5000
        case 1:
            return upload_head(None, deployment="faulty") + chunked(b"x" * 5000, b"y") + LAST_CHUNK
        case 2:
            return chat_request(deployment="faulty", stream=True) * chance.randrange(1, 6)
        case _:
            script = Script(output_tokens=chance.randrange(1, 100))
            version = chance.choice(["1.1", "1.1", "1.0"])
            return chat_request(script, deployment=where, stream=chance.random() < 0.5, version=version)


def misbehave(relay: RelayThread, seed: int) -> None:
    """Sends requests, some of them in part, and stays for their answers or leaves in one of several ways."""
    chance = random.Random(seed)
    for _ in range(CONNECTIONS):
        with RawClient(relay.address, buffer=chance.choice([0, 0, 2048])) as client:
            try:
                for _ in range(chance.randrange(1, 5)):
                    sent = request(chance)
                    client.send(sent[: chance.randrange(len(sent))] if chance.random() < 0.2 else sent)
                    leave = chance.choice([client.reset, client.half_close, client.close, None, None, None])
                    if leave is not None:
                        leave()
                        break
                    client.socket.settimeout(chance.choice([0.01, 0.05, 0.3]))
                    client.read_answer()
            except (OSError, EOFError, ValueError, IndexError):
                pass  # cut off, too slow, or an answer to another question


@pytest.mark.parametrize("durability", ["batch", "strict"])
@pytest.mark.parametrize("policy", ["cancel", "drain"])
def test_everything_at_once(world: World, durability: str, policy: str) -> None:
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")  # noqa: T201 - shown by pytest when it fails
    server = {"on_client_gone": policy}
    faulty = [world.upstream(moody(seed)), world.upstream(moody(seed + 1))]
    relay = world.relay(*faulty, then_sim=True, journal={"durability": durability}, server=server)
    clients = [threading.Thread(target=misbehave, args=[relay, seed + number]) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    relay.until(lambda: not relay.process.data_plane.clients)
    relay.until(lambda: not relay.process.data_plane.calls and "0 estimates" in repr(relay.process.data_plane))
    records = relay.records(relay.inside(lambda: relay.journal._seq))

    assert sorted(record.seq for record in records) == list(range(1, len(records) + 1))
    assert len({record.call_id for record in records}) == len(records) > CLIENTS * CONNECTIONS / 2
    for upstream in relay.process.data_plane.services.upstreams.values():
        assert "[0 active" in relay.inside(lambda pool=upstream.pool: repr(pool))  # type: ignore[misc]
