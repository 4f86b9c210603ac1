"""The JSON Lines file as a sink: every line an event, rotation by size, errors that say what to do."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from support.call_records import a_call
from support.disks import fill_up, small_disk
from support.journals import write_journal
from tokenweir.delivery import Denied, Unavailable
from tokenweir.delivery.sinks import FileConnection, JsonEvent, Sink
from tokenweir.records import Size

from ..conftest import Run, Told

Ship = Callable[..., Run]


def an_event(number: int) -> JsonEvent:
    return JsonEvent(body=json.dumps({"n": number}).encode(), call_id=str(number), properties={})


def numbers(path: Path) -> list[int]:
    return [json.loads(line)["n"] for line in path.read_text().splitlines()]


SinkAt = Callable[..., Sink[JsonEvent]]


@pytest.fixture
def sink_at(told: Told) -> SinkAt:
    def make(path: Path, rotate_at: int = 1 << 20, keep: int = 2) -> Sink[JsonEvent]:
        connection = FileConnection(path=str(path), rotate_at=Size(rotate_at), keep=keep)
        return told(kind="file", connection=connection).new_sink({})

    return make


async def sent(sink: Sink[JsonEvent], *groups: list[JsonEvent]) -> None:
    await sink.open()
    try:
        for group in groups:
            await sink.send(group)
    finally:
        await sink.close()


def test_events_are_lines_in_the_order_in_which_they_came(tmp_path: Path, sink_at: SinkAt) -> None:
    path = tmp_path / "events.jsonl"
    asyncio.run(sent(sink_at(path), [an_event(1), an_event(2)], [an_event(3)]))
    asyncio.run(sent(sink_at(path), [an_event(4)]))

    assert numbers(path) == [1, 2, 3, 4]


@pytest.mark.parametrize(("keep", "kept"), [(2, ["", ".1", ".2"]), (1, ["", ".1"]), (0, [""])])
def test_a_file_that_has_grown_is_put_aside_and_the_oldest_goes(
    tmp_path: Path, sink_at: SinkAt, keep: int, kept: list[str]
) -> None:
    path = tmp_path / "events.jsonl"
    sink = sink_at(path, rotate_at=18, keep=keep)
    asyncio.run(sent(sink, *[[an_event(n), an_event(n + 1)] for n in range(0, 8, 2)], [an_event(8)]))

    assert sorted(one.name for one in tmp_path.iterdir()) == [f"events.jsonl{suffix}" for suffix in kept]
    assert [numbers(tmp_path / f"events.jsonl{suffix}") for suffix in kept] == [[8], [6, 7], [4, 5]][: len(kept)]


def test_a_line_cut_by_a_crash_comes_again_whole(tmp_path: Path, sink_at: SinkAt, ship: Ship) -> None:
    path = tmp_path / "events.jsonl"
    write_journal(tmp_path / "journal" / "relay-0", [a_call(call_id="one"), a_call(call_id="two")])
    path.write_text('{"n": 1}\n{"call_id":"on')
    ship(sink_at(path)).to_its_end()

    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines[0] == {"n": 1}
    assert [line["call_id"] for line in lines[1:]] == ["one", "two"]


def test_a_place_that_cannot_be_written_waits_for_a_person(tmp_path: Path, sink_at: SinkAt) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(Denied, match="folder cannot be written .*connection.path"):
        asyncio.run(sent(sink_at(tmp_path / "folder")))


def test_a_full_disk_is_waited_for(tmp_path: Path, sink_at: SinkAt) -> None:
    with small_disk(tmp_path / "disk", 1) as disk:
        fill_up(disk)
        with pytest.raises(Unavailable, match="free space"):
            asyncio.run(sent(sink_at(disk / "events.jsonl"), [an_event(n) for n in range(100)]))
