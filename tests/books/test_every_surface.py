"""All surfaces at once, and everything that can become of a call: the simulator's ledger against ours, call by call.

What was reported differs by nothing; what was estimated is printed beside what was really used (``-s``). A new surface
joins by a line in ``support/ways.py``.
"""

import asyncio
import json
import random
import sys
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from support.relay_thread import KEY, running_relay
from support.ways import DEPLOYMENTS, SOCKETS, WAYS, SocketWay, Way
from tokenweir.delivery.shipping import Shipping
from tokenweir.deployments import BreakerSettings, DeploymentSettings, TargetSettings
from tokenweir.ledger import open_ledger
from tokenweir.policy import CallerSettings, hash_key
from tokenweir.records import CallRecord, Duration, SystemClock
from tokenweir.serve.books import Books
from tokenweir.simulator import Script, SentCall, running_simulator
from tokenweir.upstream import CredentialSettings, UpstreamSettings

AT_ONCE = 12
DRAINING_KEY = "tw-test-key-of-the-drainer"

Fate = Callable[["Callers", Way], Awaitable[None]]


class Callers:
    """The clients of a gateway. Slow ones read on when all others are done."""

    def __init__(self, url: str, chance: random.Random) -> None:
        self._url = url
        self._chance = chance
        self._http = httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=None))
        self.others_are_done = asyncio.Event()

    async def close(self) -> None:
        await self._http.aclose()

    def tokens(self) -> int:
        return self._chance.randrange(1, 120)

    async def _answer(self, way: Way, script: Script, *, stream: bool, key: str = KEY) -> httpx.Response:
        """Its head has come."""
        request = way.request(self._url, key, script, self._chance, stream=stream)
        return await self._http.send(request, stream=True)

    async def _read(self, way: Way, script: Script, *, stream: bool) -> int:
        """Its status, once all of it or the break has come."""
        answer = await self._answer(way, script, stream=stream)
        try:
            await answer.aread()
        except httpx.RemoteProtocolError:
            pass
        finally:
            await answer.aclose()
        return answer.status_code

    async def plain(self, way: Way) -> None:
        searches = self._chance.randrange(3)
        script = Script(output_tokens=self.tokens(), cached_tokens=1, server_tool_calls=searches)
        assert await self._read(way, script, stream=False) == 200

    async def reasoning(self, way: Way) -> None:
        reasoning, written = self.tokens(), self._chance.randrange(4)
        script = Script(
            output_tokens=self.tokens(),
            reasoning_tokens=reasoning,
            cache_write_tokens=written,
            cache_write_1h_tokens=1,
        )
        assert await self._read(way, script, stream=False) == 200

    async def streamed(self, way: Way) -> None:
        crlf = self._chance.random() < 0.2
        script = Script(output_tokens=self.tokens(), server_tool_calls=2, cache_write_tokens=2, crlf=crlf)
        assert await self._read(way, script, stream=True) == 200

    async def read_slowly(self, way: Way) -> None:
        answer = await self._answer(way, Script(output_tokens=4_000), stream=True)
        await self.others_are_done.wait()
        await answer.aread()

    async def retried(self, way: Way) -> None:
        """The first target refuses, the second one answers."""
        script = Script(status=503, fail_times=1, id=f"{way.api}-{self._chance.random()}", output_tokens=self.tokens())
        assert await self._read(way, script, stream=self._chance.random() < 0.5 and way.streams) == 200

    async def refused(self, way: Way) -> None:
        status = self._chance.choice([404, 422])
        assert await self._read(way, Script(status=status), stream=False) == status

    async def broken_body(self, way: Way) -> None:
        await self._read(way, Script(output_tokens=90, close_after=1), stream=False)

    async def broken_stream(self, way: Way) -> None:
        await self._read(way, Script(output_tokens=90, reset_after=self.tokens() % 30 + 1), stream=True)

    async def error_in_stream(self, way: Way) -> None:
        await self._read(way, Script(output_tokens=90, error_frame_after=self.tokens() % 30 + 1), stream=True)

    async def left(self, way: Way) -> None:
        """In the middle; the model stops there."""
        await self._leave(way, Script(output_tokens=90, hang_after=self.tokens() % 20 + 1), KEY)

    async def left_to_be_drained(self, way: Way) -> None:
        """At once, and the gateway reads to the end."""
        await self._leave(way, Script(output_tokens=self.tokens()), DRAINING_KEY)

    async def turns(self, way: SocketWay) -> int:
        """In one session; how many records that makes."""
        async with self._socket(way, Script(output_tokens=self.tokens(), cached_tokens=2)) as socket:
            for _ in range(3):
                await socket.send(json.dumps(way.turn))
                while json.loads(await socket.recv())["type"] != way.last:
                    pass
        return 3 + 1

    async def left_turn(self, way: SocketWay) -> int:
        """In the middle of what is told."""
        async with self._socket(way, Script(output_tokens=900, chunk_delay=Duration(0.01))) as socket:
            await socket.send(json.dumps(way.turn))
            while not json.loads(await socket.recv())["type"].endswith(".delta"):
                pass
        return 1 + 1

    def _socket(self, way: SocketWay, script: Script) -> connect:
        headers = {"api-key": KEY, **script.headers()}
        return connect(self._url.replace("http", "ws") + way.path, additional_headers=headers, max_size=None)

    async def _leave(self, way: Way, script: Script, key: str) -> None:
        answer = await self._answer(way, script, stream=True, key=key)
        async for _ in answer.aiter_raw():
            break
        await answer.aclose()


BODY_FATES: tuple[Fate, ...] = (
    Callers.plain,
    Callers.reasoning,
    Callers.retried,
    Callers.refused,
    Callers.broken_body,
)
STREAM_FATES: tuple[Fate, ...] = (
    Callers.streamed,
    Callers.broken_stream,
    Callers.error_in_stream,
    Callers.left,
    Callers.left_to_be_drained,
)

SOCKET_FATES = (Callers.turns, Callers.left_turn)


async def call_in_every_way(url: str, rounds: int, slow: int) -> int:
    """Each way with each fate, so many times; how many calls that were."""
    chance = random.Random(20261130)
    callers = Callers(url, chance)
    plan = [(fate, way) for way in WAYS for fate in (*BODY_FATES, *(STREAM_FATES if way.streams else ()))] * rounds
    chance.shuffle(plan)
    made = len(plan)
    sessions = [fate(callers, way) for _ in range(rounds) for way in SOCKETS for fate in SOCKET_FATES]
    waiting = [asyncio.ensure_future(callers.read_slowly(way)) for way in WAYS if way.streams for _ in range(slow)]

    async def work() -> None:
        while plan:
            fate, way = plan.pop()
            await fate(callers, way)

    try:
        made += sum(await asyncio.gather(*sessions))
        await asyncio.gather(*(work() for _ in range(AT_ONCE)))
        callers.others_are_done.set()
        await asyncio.gather(*waiting)
    finally:
        await callers.close()
    return made + len(waiting)


def upstreams(url: str) -> list[UpstreamSettings]:
    """The simulator twice, as two regions; and twice as Foundry's Claude."""
    secret = CredentialSettings(key="upstream-key")
    gpt = [UpstreamSettings(name, url, secret) for name in ("one", "two")]
    return gpt + [
        UpstreamSettings(name, f"{url}/anthropic", secret, kind="anthropic") for name in ("claude-one", "claude-two")
    ]


def deployments() -> list[DeploymentSettings]:
    made = []
    for name in DEPLOYMENTS:
        prefix = "claude-" if name == "claude" else ""
        targets = [TargetSettings(f"{prefix}{one}", name, priority=n) for n, one in enumerate(("one", "two"), 1)]
        # So many fail here on purpose that a breaker would leave both targets alone.
        made.append(DeploymentSettings(name, targets, retries=1.0, breaker=BreakerSettings(trip=Duration(0))))
    return made


NAMES = ("input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")
THEIR_NAMES = ("prompt_tokens", "cached_tokens", "cache_write_tokens", "completion_tokens", "reasoning_tokens")


def used(call: SentCall) -> dict[str, Any]:
    """What the simulator says, by our names."""
    told = {name: getattr(call, theirs) for name, theirs in zip(NAMES, THEIR_NAMES, strict=True)}
    return told | call.quantities


def id_of(record: CallRecord, sent: dict[str, SentCall]) -> str:
    """By which the simulator knows it: that of the request, or of the turn of a session."""
    return str(record.response_id if record.response_id in sent else record.upstream_request_id)


def recorded(record: CallRecord) -> dict[str, Any]:
    usage = record.usage
    told = {name: getattr(usage, name) for name in NAMES}
    return told | {name: quantity.amount for name, quantity in usage.quantities.items()}


def assert_reported_agrees(records: list[CallRecord], sent: dict[str, SentCall]) -> None:
    """Whatever was said is recorded, of the same calls, to the token and the second."""
    reported = {id_of(record, sent): record for record in records if record.usage.source == "reported"}
    assert set(reported) == {id for id, call in sent.items() if call.usage_sent}
    differences = {
        (record.api, id): (recorded(record), used(sent[id]))
        for id, record in reported.items()
        if recorded(record) != used(sent[id])
    }
    assert differences == {}


def print_estimates(records: list[CallRecord], sent: dict[str, SentCall]) -> None:
    sums: dict[str, Counter[str]] = defaultdict(Counter)
    for record in records:
        if record.usage.source == "estimated" and (call := sent.get(id_of(record, sent))) is not None:
            sums[record.api] += Counter(
                calls=1,
                input=record.usage.input_tokens,
                really_in=call.prompt_tokens,
                output=record.usage.output_tokens,
                really_out=call.completion_tokens,
            )
    sys.stdout.write(f"\n{'estimated':24} calls    input   really   output   really\n")
    for api, told in sorted(sums.items()):
        numbers = (told[name] for name in ("input", "really_in", "output", "really_out"))
        sys.stdout.write(f"{api:24} {told['calls']:5} " + " ".join(f"{number:8}" for number in numbers) + "\n")


def assert_ledger_agrees(folder: Path, records: list[CallRecord], sent: dict[str, SentCall]) -> None:
    ledger = open_ledger(f"duckdb:{folder}/ledger.duckdb")
    try:
        shipping = Shipping(folder / "journal", [], {}, SystemClock())
        assert Books(folder / "journal", ledger, SystemClock(), shipping).catch_up() == len(records)
        rows = {row["api"]: row for row in ledger.usage(["api", "usage_source"]) if row["usage_source"] == "reported"}
    finally:
        ledger.close()
    for api in {call.api for call in sent.values() if call.usage_sent}:
        sold = [call for call in sent.values() if call.usage_sent and call.api == api]
        ours = [rows[api][name] for name in ("calls", "input_tokens", "output_tokens", "reasoning_tokens")]
        theirs = ("prompt_tokens", "completion_tokens", "reasoning_tokens")
        assert ours == [len(sold), *(sum(getattr(call, name) for call in sold) for name in theirs)], api


def prove(folder: Path, rounds: int, slow: int) -> None:
    callers = [
        CallerSettings("team-a", hash_key(KEY)),
        CallerSettings("drainer", hash_key(DRAINING_KEY), on_client_gone="drain"),
    ]
    with (
        running_simulator() as sim,
        running_relay(folder, upstreams(sim.url), deployments=deployments(), callers=callers) as relay,
    ):
        made = asyncio.run(call_in_every_way(relay.url, rounds, slow))
        records = relay.records(made)
        sent = {call.id: call for call in sim.wait_for_calls(sum(record.attempts for record in records))}
        assert relay.inside(lambda: relay.process.data_plane.calls) == set()
    assert len(records) == len({record.call_id for record in records}) == made
    assert {record.api for record in records} == {way.api for way in (*WAYS, *SOCKETS)}
    assert_reported_agrees(records, sent)
    assert_ledger_agrees(folder, records, sent)
    print_estimates(records, sent)


def test_the_books_agree_call_by_call_on_every_surface(tmp_path: Path) -> None:
    prove(tmp_path, rounds=1, slow=1)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_they_agree_after_thousands_of_calls_and_dozens_of_slow_readers(tmp_path: Path) -> None:
    prove(tmp_path, rounds=40, slow=12)
