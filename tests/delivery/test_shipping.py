"""All journals as one source, and all sinks side by side: one that fails by a defect of ours takes nobody with it."""

import asyncio
from pathlib import Path

import pytest

from support.call_records import a_call
from support.clocks import JumpingClock
from support.journals import NOW, write_journal
from tokenweir.delivery.shipping import JournalsSource, Shipping, cursor_of
from tokenweir.delivery.sinks import ConnectionSettings, SinkSettings
from tokenweir.journal import bytes_behind, load_cursor


def write(root: Path, relay: str, *call_ids: str) -> None:
    write_journal(root / relay, [a_call(call_id=call_id) for call_id in call_ids])


def file_sink(name: str, folder: Path) -> SinkSettings:
    connection = ConnectionSettings(path=str(folder / f"{name}.jsonl"))
    return SinkSettings(name=name, kind="file", connection=connection, dead_letters=str(folder / f"{name}.dead"))


def test_journals_are_read_in_turns_and_each_has_its_own_cursor(tmp_path: Path) -> None:
    write(tmp_path, "relay-0", "a", "b", "c")
    write(tmp_path, "relay-1", "x")
    source = JournalsSource(tmp_path, "sink-s")
    read = []
    while (batch := source.read(1)).records:
        read.append(batch.records[0].call_id)
        if batch.records[0].call_id in ("b", "x"):
            source.done(batch.position)

    assert read == ["a", "x", "b", "c"]
    assert [one.call_id for one in JournalsSource(tmp_path, "sink-s").read(9).records] == ["c"]
    assert bytes_behind(tmp_path / "relay-1", "sink-s") == 0
    assert source.behind_bytes() == bytes_behind(tmp_path / "relay-0", "sink-s") > 0


def test_a_relay_that_comes_later_is_read_too(tmp_path: Path) -> None:
    source = JournalsSource(tmp_path / "journal", "sink-s")
    assert source.read(9).records == []

    write(tmp_path / "journal", "relay-0", "a")
    assert [one.call_id for one in source.read(9).records] == ["a"]


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

    monkeypatch.setattr(shipping._shippers._shippers[0], "_groups", fail)

    async def run() -> None:
        shipping.start()
        await shipping.stop()

    asyncio.run(run())

    assert (tmp_path / "good.jsonl").read_bytes().count(b"\n") == 1
    assert "broken [0 sent, 0 dead, 0 retries]> has failed (ZeroDivisionError) and ships no more" in caplog.text
    assert "of a prompt" not in caplog.text
    assert bytes_behind(tmp_path / "journal" / "relay-0", "sink-broken") > 0


def test_without_sinks_there_is_nothing_to_stop(tmp_path: Path) -> None:
    shipping = Shipping(tmp_path, [], {}, JumpingClock(NOW))
    asyncio.run(shipping.stop())
    assert shipping.statuses() == []
