"""All journals as one source, and all sinks side by side: one that fails by a defect of ours takes nobody with it."""

import asyncio
from pathlib import Path

import pytest

from support.call_records import a_call
from support.clocks import JumpingClock
from support.journals import NOW, write_journal
from tokenweir.delivery.shipping import Shipping, cursor_of
from tokenweir.delivery.sinks import FileConnection, SinkSettings
from tokenweir.delivery.sources import journals
from tokenweir.delivery.sources.journals import JournalReads, JournalsSource
from tokenweir.journal import bytes_behind, load_cursor

pytestmark = pytest.mark.anyio


def write(root: Path, relay: str, *call_ids: str) -> None:
    write_journal(root / relay, [a_call(call_id=call_id) for call_id in call_ids])


def file_sink(name: str, folder: Path) -> SinkSettings:
    connection = FileConnection(path=str(folder / f"{name}.jsonl"))
    return SinkSettings(name=name, kind="file", connection=connection, dead_letters=str(folder / f"{name}.dead"))


async def test_journals_are_read_in_turns_and_each_has_its_own_cursor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "_READ_RECORDS", 1)
    write(tmp_path, "relay-0", "a", "b", "c")
    write(tmp_path, "relay-1", "x")
    source = JournalsSource(tmp_path, "sink-s")
    read = []
    while batch := await source.read():
        read.append(batch.records[0].call_id)
        if batch.records[0].call_id in ("b", "x"):
            await source.done(batch)

    assert read == ["a", "x", "b", "c"]
    assert await ids(JournalsSource(tmp_path, "sink-s")) == ["c"]
    assert bytes_behind(tmp_path / "relay-1", "sink-s") == 0
    assert source.behind_bytes() == bytes_behind(tmp_path / "relay-0", "sink-s") > 0


async def test_a_relay_that_comes_later_is_read_too(tmp_path: Path) -> None:
    source = JournalsSource(tmp_path / "journal", "sink-s")
    assert await source.read() is None

    write(tmp_path / "journal", "relay-0", "a")
    assert await ids(source) == ["a"]


async def test_sinks_in_step_share_what_was_decoded_and_one_that_is_behind_reads_for_itself(tmp_path: Path) -> None:
    write(tmp_path, "relay-0", "a", "b")
    reads = JournalReads(sharers=3)
    first, second, late = (JournalsSource(tmp_path, f"sink-{number}", reads) for number in range(3))
    one, other = await first.read(), await second.read()
    assert one is not None and other is not None
    assert one.records[0] is other.records[0]

    for number in range(6):
        write(tmp_path, "relay-0", f"c-{number}")
        assert await ids(first) == await ids(second) == [f"c-{number}"]
    assert len(reads._kept) <= 4
    read = []
    while some := await ids(late):
        read += some
    assert read == ["a", "b", *(f"c-{number}" for number in range(6))]


async def ids(source: JournalsSource) -> list[str]:
    batch = await source.read()
    return [record.call_id for record in batch.records] if batch else []


def test_every_sink_keeps_the_journal_from_the_moment_it_is_known(tmp_path: Path) -> None:
    write(tmp_path / "journal", "relay-0", "a")
    sinks = [file_sink("one", tmp_path), file_sink("two", tmp_path)]
    shipping = Shipping(tmp_path / "journal", sinks, {}, JumpingClock(NOW))
    shipping.begin(tmp_path / "journal" / "relay-0")

    assert all(load_cursor(tmp_path / "journal" / "relay-0", cursor_of(sink)) for sink in sinks)
    assert [(one.name, one.kind, one.behind_bytes > 0) for one in shipping.statuses()] == [
        ("one", "file", True),
        ("two", "file", True),
    ]


def test_one_that_fails_by_a_defect_is_said_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path / "journal", "relay-0", "a")
    sinks = [file_sink("broken", tmp_path), file_sink("good", tmp_path)]
    shipping = Shipping(tmp_path / "journal", sinks, {}, JumpingClock(NOW))

    def fail(records: object) -> None:
        raise ZeroDivisionError("of a prompt")

    monkeypatch.setattr(shipping._shippers._outlets[0], "_groups", fail)

    async def run() -> None:
        shipping.start()
        await shipping.stop()

    asyncio.run(run())

    assert (tmp_path / "good.jsonl").read_bytes().count(b"\n") == 1
    assert (
        "sink broken [0 retries] to <Outlet broken [0 sent, 0 dead]>> has failed (ZeroDivisionError) and ships no more"
        in caplog.text
    )
    assert "of a prompt" not in caplog.text
    assert bytes_behind(tmp_path / "journal" / "relay-0", "sink-broken") > 0


def test_without_sinks_there_is_nothing_to_stop(tmp_path: Path) -> None:
    shipping = Shipping(tmp_path, [], {}, JumpingClock(NOW))
    asyncio.run(shipping.stop())
    assert shipping.statuses() == []
