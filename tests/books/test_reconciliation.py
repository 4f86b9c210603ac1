"""Some hundred calls of every kind at once: what the ledger says was used is what the simulator says it sold."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import openai
from openai import AsyncAzureOpenAI

from support.relay_thread import KEY, RelayThread, running_relay
from tokenweir.delivery.shipping import Shipping
from tokenweir.ledger import open_ledger
from tokenweir.policy import CallerSettings, hash_key
from tokenweir.records import CallRecord, SystemClock
from tokenweir.serve.books import Books
from tokenweir.simulator import Script, SentCall, running_simulator

CALLS = 400
AT_ONCE = 16
DRAINING_KEY = "tw-test-key-of-the-drainer"
WORDS = ["Wasser", "fließt", "über", "das", "Wehr", "水が堰を越えて流れる", "🙂", "water", "flows", "over", "a", "weir"]
TOOLS: Any = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]


class Caller:
    """One of the clients, with a way to make each kind of call."""

    def __init__(self, relay: RelayThread, chance: random.Random) -> None:
        self._chance = chance
        self._clients = {
            key: AsyncAzureOpenAI(azure_endpoint=relay.url, api_key=key, api_version="2024-10-21", max_retries=0)
            for key in (KEY, DRAINING_KEY)
        }
        self.kinds: list[Callable[[], Awaitable[None]]] = [
            self.plain,
            self.streamed,
            self.streamed_with_usage,
            self.tools,
            self.reasoning,
            self.completion,
            self.embeddings,
            self.refused_by_upstream,
            self.refused_by_filter,
            self.error_frame,
            self.broken,
            self.leaves_and_cancels,
            self.leaves_and_drains,
            self.unknown_key,
        ]

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()

    def _prompt(self) -> Any:
        text = " ".join(self._chance.choices(WORDS, k=self._chance.randrange(1, 60)))
        return [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]

    async def _chat(self, script: Script, key: str = KEY, **options: Any) -> Any:
        model = self._chance.choice(["gpt-4o", "gpt-4o-mini", "gpt-5"])
        return await self._clients[key].chat.completions.create(
            model=model, messages=self._prompt(), extra_headers=script.headers(), **options
        )

    def _tokens(self) -> int:
        return self._chance.randrange(1, 120)

    async def plain(self) -> None:
        await self._chat(Script(output_tokens=self._tokens(), cached_tokens=self._chance.randrange(4)))

    async def streamed(self) -> None:
        async for _ in await self._chat(Script(output_tokens=self._tokens()), stream=True):
            pass

    async def streamed_with_usage(self) -> None:
        asked = {"include_usage": True}
        async for _ in await self._chat(Script(output_tokens=self._tokens()), stream=True, stream_options=asked):
            pass

    async def tools(self) -> None:
        script = Script(tool_calls=self._chance.randrange(1, 4))
        async for _ in await self._chat(script, tools=TOOLS, stream=True):
            pass

    async def reasoning(self) -> None:
        script = Script(output_tokens=self._tokens(), reasoning_tokens=self._tokens())
        await self._chat(script, n=self._chance.randrange(1, 3))

    async def completion(self) -> None:
        script = Script(output_tokens=self._tokens())
        await self._clients[KEY].completions.create(
            model="gpt-35", prompt=" ".join(WORDS), extra_headers=script.headers()
        )

    async def embeddings(self) -> None:
        await self._clients[KEY].embeddings.create(model="embedding", input=self._chance.sample(WORDS, 3))

    async def refused_by_upstream(self) -> None:
        status = self._chance.choice([404, 422, 429, 500, 503])
        try:
            await self._chat(Script(status=status))
        except openai.APIStatusError as error:
            assert error.status_code == status

    async def refused_by_filter(self) -> None:
        try:
            await self._chat(Script(prompt_filter=True))
        except openai.BadRequestError as error:
            assert error.code == "content_filter"

    async def error_frame(self) -> None:
        try:
            async for _ in await self._chat(
                Script(output_tokens=90, error_frame_after=self._tokens() % 30), stream=True
            ):
                pass
        except openai.APIError:
            pass

    async def broken(self) -> None:
        script = Script(output_tokens=90, close_after=self._chance.randrange(1, 30))
        try:
            async for _ in await self._chat(script, stream=True):
                pass
        except openai.APIError:
            pass
        except Exception as error:  # the SDK hands httpx's own on
            assert type(error).__name__ == "RemoteProtocolError"

    async def leaves_and_cancels(self) -> None:
        after = self._chance.randrange(1, 20)
        stream = await self._chat(Script(output_tokens=90, hang_after=after), stream=True)
        seen = 0
        async for piece in stream:
            seen += bool(piece.choices and piece.choices[0].delta.content)
            if seen == after:
                break
        await stream.close()

    async def leaves_and_drains(self) -> None:
        stream = await self._chat(Script(output_tokens=self._tokens()), DRAINING_KEY, stream=True)
        await stream.response.aclose()

    async def unknown_key(self) -> None:
        client = self._clients[KEY].with_options(api_key="nobody's")
        try:
            await client.chat.completions.create(model="gpt-4o", messages=self._prompt())
        except openai.AuthenticationError:
            pass


async def call_in_every_way(relay: RelayThread) -> Counter[str]:
    """Makes the calls, some at once; how many of each kind."""
    chance = random.Random(20261122)
    caller = Caller(relay, chance)
    left = [caller.kinds[number % len(caller.kinds)] for number in range(CALLS)]
    chance.shuffle(left)
    made: Counter[str] = Counter(kind.__name__ for kind in left)

    async def work() -> None:
        while left:
            await left.pop()()

    try:
        await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    finally:
        await caller.close()
    return made


def sums(calls: list[Any], *names: str) -> tuple[int, ...]:
    return tuple(sum(getattr(call, name) for call in calls) for name in names)


def test_the_books_agree_with_the_simulators_own(tmp_path: Path) -> None:
    callers = [
        CallerSettings("team-a", hash_key(KEY)),
        CallerSettings("drainer", hash_key(DRAINING_KEY), on_client_gone="drain"),
    ]
    with running_simulator() as sim, running_relay(tmp_path, sim.url, callers=callers) as relay:
        made = asyncio.run(call_in_every_way(relay))
        records = relay.records(CALLS)
        sent = sim.wait_for_calls(CALLS - made["unknown_key"])
        assert relay.inside(lambda: relay.process.data_plane.calls) == set()

    assert len(records) == len({record.call_id for record in records}) == CALLS
    assert sorted(record.seq for record in records) == list(range(1, CALLS + 1))
    assert_outcomes(records, made)
    assert_usage_agrees(records, sent)
    assert_ledger_agrees(tmp_path, records, sent)


def assert_outcomes(records: list[CallRecord], made: Counter[str]) -> None:
    outcomes = Counter(record.outcome for record in records)
    well = ["plain", "streamed", "streamed_with_usage", "tools", "reasoning", "completion", "embeddings"]
    finished_before_they_left = sum(record.caller == "drainer" and record.outcome == "completed" for record in records)
    assert outcomes == {
        "completed": sum(made[kind] for kind in well) + finished_before_they_left,
        "refused": made["unknown_key"],
        "upstream_error": made["refused_by_upstream"] + made["refused_by_filter"] + made["error_frame"],
        "upstream_broken": made["broken"],
        "client_gone": made["leaves_and_cancels"] + made["leaves_and_drains"] - finished_before_they_left,
    }


def assert_usage_agrees(records: list[CallRecord], sent: list[SentCall]) -> None:
    by_id = {call.id: call for call in sent}
    reported = [record for record in records if record.usage.source == "reported"]
    sold = [call for call in sent if call.usage_sent]
    assert {record.upstream_request_id for record in reported} == {call.id for call in sold}
    names = ("input_tokens", "cached_input_tokens", "output_tokens", "reasoning_tokens")
    their_names = ("prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens")
    assert sums([record.usage for record in reported], *names) == sums(sold, *their_names)
    assert all(
        record.usage.total_tokens == record.usage.input_tokens + record.usage.output_tokens for record in reported
    )

    estimated = [record for record in records if record.usage.source == "estimated"]
    for record in estimated:
        call = by_id[str(record.upstream_request_id)]
        assert record.usage.input_tokens == call.prompt_tokens, record
        assert abs(record.usage.output_tokens - call.visible_tokens) <= 2, record
    assert len(reported) + len(estimated) == len([record for record in records if record.usage.total_tokens])


def assert_ledger_agrees(folder: Path, records: list[CallRecord], sent: list[SentCall]) -> None:
    ledger = open_ledger(f"duckdb:{folder}/ledger.duckdb")
    try:
        shipping = Shipping(folder / "journal", [], {}, SystemClock())
        assert Books(folder / "journal", ledger, SystemClock(), shipping).catch_up() == CALLS
        rows = {row["usage_source"]: row for row in ledger.usage(["usage_source"])}
        by_caller = {row["caller"]: row["calls"] for row in ledger.usage(["caller"])}
    finally:
        ledger.close()
    sold = [call for call in sent if call.usage_sent]
    row = rows["reported"]
    assert (row["input_tokens"], row["output_tokens"]) == sums(sold, "prompt_tokens", "completion_tokens")
    assert (row["cached_input_tokens"], row["reasoning_tokens"]) == sums(sold, "cached_tokens", "reasoning_tokens")
    assert row["calls"] == len(sold)
    assert sum(row["calls"] for row in rows.values()) == CALLS
    assert by_caller == dict(Counter(record.caller for record in records))
