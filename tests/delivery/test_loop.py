"""The pump on good and bad days: nothing lost, order kept, the cursor never ahead, at work again after any end."""

import asyncio
import json
import logging
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from support.call_records import a_call
from support.fake_sink import Act, FakeSink, Killed, deny, down, killed, stumble, throttle
from support.journals import NOW, write_journal
from tokenweir.delivery import Denied, RecordBatch, RecordSource, Unavailable
from tokenweir.delivery.sinks import EventHubsConnection, JsonEvent, SinkSettings
from tokenweir.delivery.sinks.formats import fit_json
from tokenweir.delivery.sources.journals import JournalsSource
from tokenweir.errors import JournalError
from tokenweir.journal import JournalReader, load_cursor, remove_passed_segments
from tokenweir.records import CallRecord, FlatRecord, from_flat, new_call_id

from .conftest import Run

Ship = Callable[..., Run]
Letters = Callable[[], list[dict[str, Any]]]


def calls(count: int, **fields: Any) -> list[CallRecord]:
    return [a_call(call_id=f"call-{number}", seq=number, **fields) for number in range(1, count + 1)]


def ids(events: Sequence[JsonEvent]) -> list[str]:
    return [event.call_id for event in events]


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Ten calls in the journal of one relay."""
    directory = tmp_path / "journal" / "relay-0"
    write_journal(directory, calls(10))
    return directory


# --- good days ---


def test_every_record_is_sent_in_order_and_the_next_run_goes_on_behind_it(journal: Path, ship: Ship) -> None:
    first, second = FakeSink(), FakeSink()
    ship(first).to_its_end()
    write_journal(journal, calls(2))
    status = ship(second).to_its_end().status()

    assert ids(first.taken) == ids(first.sends[0]) == [f"call-{number}" for number in range(1, 11)]
    assert ids(second.taken) == ["call-1", "call-2"]
    assert (status.sent, status.dead, status.retries, status.last_sent_at) == (2, 0, 0, NOW)
    assert second.is_closed


def test_all_relays_are_shipped_and_a_busy_one_keeps_none_waiting(tmp_path: Path, ship: Ship) -> None:
    for relay, count in (("relay-0", 3_000), ("relay-1", 2)):
        write_journal(tmp_path / "journal" / relay, [a_call(call_id=f"{relay}-{number}") for number in range(count)])
    sink = FakeSink()
    ship(sink).to_its_end()

    assert len(set(ids(sink.taken))) == 3_002
    assert ids(sink.taken).index("relay-1-0") < 1_500


def test_whoever_is_behind_is_caught_up_without_a_pause(tmp_path: Path, ship: Ship) -> None:
    write_journal(tmp_path / "journal" / "relay-0", calls(5_000))
    sink = FakeSink()
    run = ship(sink)
    seen: list[int] = []

    async def pause(seconds: float) -> None:
        seen.append(len(sink.taken))
        run.delivery.stop()

    run.delivery._pause = pause
    run.to_its_end()

    assert seen == [5_000]


@pytest.mark.parametrize(("gather", "first", "last"), [(0.01, 0.01, 0.1), (0.5, 0.5, 0.5)])
def test_whoever_looks_often_looks_less_often_while_nothing_comes(
    tmp_path: Path, ship: Ship, gather: float, first: float, last: float
) -> None:
    run = ship(FakeSink())
    run.delivery._gather = gather
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 200:
            write_journal(tmp_path / "journal" / "relay-0", calls(1))
        elif len(pauses) == 202:
            run.delivery.stop()

    run.delivery._pause = pause
    run.to_its_end()
    assert pauses[0] < first * 1.2
    assert pauses == sorted(pauses[:200]) + pauses[200:]
    assert pauses[199] == last
    assert pauses[200] < first * 1.2  # as soon as something has come


def test_what_is_written_before_the_stop_is_sent_before_the_end(journal: Path, ship: Ship) -> None:
    sink = FakeSink()
    run = ship(sink)
    run.delivery.stop()
    run.to_its_end()

    assert len(sink.taken) == 10


def test_a_bounded_number_of_bytes_is_sent_at_once(tmp_path: Path, ship: Ship) -> None:
    write_journal(tmp_path / "journal" / "relay-0", calls(40, response_body="x" * 400_000))
    sink = FakeSink()
    ship(sink).to_its_end()

    assert len(sink.taken) == 40
    assert max(sum(event.size for event in events) for events in sink.sends) < 3 * 1024 * 1024


def test_segments_stay_until_they_are_sent_and_may_go_then(tmp_path: Path, ship: Ship) -> None:
    directory = tmp_path / "journal" / "relay-0"
    for number in range(5):
        write_journal(directory, [a_call(seq=number)])
    run = ship(FakeSink())
    JournalsSource(tmp_path / "journal", "sink-hub").begin(directory)

    assert remove_passed_segments(directory) == []
    run.to_its_end()
    assert len(remove_passed_segments(directory)) == 4
    assert len(list(directory.glob("*.twj"))) == 1


# --- bad days ---


def test_an_outage_in_the_middle_sends_the_rest_later_and_loses_nothing(journal: Path, ship: Ship) -> None:
    sink = FakeSink([down(after=4), down()])
    run = ship(sink).to_its_end()

    assert ids(sink.taken) == [*[f"call-{n}" for n in range(1, 5)], *[f"call-{n}" for n in range(1, 11)]]
    assert run.pauses == [0.5, 1.0]
    assert sink.openings == 3
    assert run.delivery.retries == 2
    assert run.delivery.failing_since is None
    assert run.delivery.last_error == "the other side has gone away"


def test_who_is_throttled_waits_as_long_as_asked_and_keeps_its_connection(journal: Path, ship: Ship) -> None:
    sink = FakeSink([throttle(17.0), throttle()])
    run = ship(sink).to_its_end()

    assert run.pauses == [17.0, 1.0]
    assert sink.openings == 1
    assert len(sink.taken) == 10


def test_a_sink_that_refuses_us_is_asked_again_slowly(journal: Path, ship: Ship) -> None:
    sink = FakeSink([deny], opening=[Denied("there is no such hub"), Unavailable("no route")])
    run = ship(sink).to_its_end()

    assert run.pauses == [60.0, 1.0, 60.0]
    assert len(sink.taken) == 10


def test_while_it_fails_the_status_says_since_when_and_why_and_the_cursor_stays(journal: Path, ship: Ship) -> None:
    run = ship(FakeSink(opening=[Denied("there is no such hub")] * 9))
    run.most_pauses = 5
    status = run.to_its_end().status()

    assert (status.failing_since, status.last_error, status.retries) == (NOW, "there is no such hub", 5)
    assert (status.sent, status.last_sent_at) == (0, None)
    assert not load_cursor(journal, "sink-hub")
    assert "failing since 12:00:00" in repr(run.delivery)


def test_who_is_stopped_while_the_sink_is_down_ends_at_once(journal: Path, ship: Ship) -> None:
    sink = FakeSink([down()] * 9)
    run = ship(sink)
    run.delivery.stop()
    run.to_its_end()

    assert len(sink.sends) == 1
    assert sink.is_closed
    ship(again := FakeSink()).to_its_end()
    assert len(again.taken) == 10


def test_events_that_can_never_be_sent_are_buried_with_the_reason_and_the_others_sent(
    journal: Path, ship: Ship, letters: Letters
) -> None:
    sink = FakeSink(rejects=lambda event: event.call_id in ("call-3", "call-7"))
    status = ship(sink).to_its_end().status()

    assert ids(sink.taken) == [f"call-{n}" for n in range(1, 11) if n not in (3, 7)]
    assert (status.sent, status.dead) == (8, 2)
    assert [(one["call_id"], one["reason"], one["sink"]) for one in letters()] == [
        ("call-3", "nobody wants them", "hub"),
        ("call-7", "nobody wants them", "hub"),
    ]
    assert json.loads(letters()[0]["event"])["caller"] == "team-a"


def test_an_event_that_cannot_be_made_to_fit_is_buried_whole(tmp_path: Path, ship: Ship, letters: Letters) -> None:
    small, large = a_call(call_id="small"), a_call(call_id="large", requested_model="m" * 9_000)
    write_journal(tmp_path / "journal" / "relay-0", [small, large, small])
    sink = FakeSink(limit=4_096)
    status = ship(sink, on_too_large="shed").to_its_end().status()

    assert ids(sink.taken) == ["small", "small"]
    assert (status.sent, status.dead) == (2, 1)
    (letter,) = letters()
    assert json.loads(letter["event"])["requested_model"] == "m" * 9_000


@pytest.mark.parametrize("choice", ["shed", "pointer"])
def test_a_large_chat_is_one_event_of_the_function_that_is_json_and_a_pointer_leads_to_all_of_it(
    tmp_path: Path, ship: Ship, choice: str
) -> None:
    body = json.dumps({"messages": [{"role": "user", "content": "What does a weir do? " * 1000}]})
    write_journal(tmp_path / "journal" / "relay-0", [a_call(call_id="large", request_body=body)])
    place = tmp_path / "large"
    kept = {"large_events": str(place)} if choice == "pointer" else {}
    sink = FakeSink(limit=4_096)
    ship(sink, shape="sse-proxy", on_too_large=choice, **kept).to_its_end()

    (event,) = sink.taken
    said = json.loads(event.body)
    assert said["bodies_shed"] is True
    if choice == "shed":
        assert "event_at" not in said
        return
    assert said["event_at"] == f"{place}/large.json"
    whole = json.loads(Path(said["event_at"]).read_bytes())
    assert "What does a weir do?" in json.dumps(whole)
    assert {name for name in whole if whole[name] == said.get(name)} > {"type", "call_id"}
    assert Path(said["event_at"]).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in place.iterdir()] == ["large.json"]


def test_a_pointer_is_not_sent_before_there_is_what_it_leads_to(tmp_path: Path, ship: Ship) -> None:
    write_journal(tmp_path / "journal" / "relay-0", [a_call(call_id="large", request_body="x" * 10_000)])
    place = tmp_path / "large"
    place.write_text("a file, where a directory should be")
    sink = FakeSink(limit=4_096)
    run = ship(sink, on_too_large="pointer", large_events=str(place))
    run.most_pauses = 2
    status = run.to_its_end().status()
    assert sink.taken == []
    assert "large events cannot be kept" in (status.last_error or "")


def test_a_large_event_arrives_in_parts_one_after_the_other(tmp_path: Path, ship: Ship) -> None:
    record = a_call(request_body="x" * 10_000)
    write_journal(tmp_path / "journal" / "relay-0", [a_call(), record, a_call()])
    sink = FakeSink(limit=4_096)
    ship(sink).to_its_end()

    parts = [event.properties.get("part") for event in sink.taken]
    assert parts == [None, *[str(n) for n in range(1, len(parts) - 1)], None]
    whole = b"".join(event.body for event in sink.taken[1:-1])
    assert from_flat(msgspec.json.decode(whole, type=FlatRecord)) == record


def test_a_defect_of_the_sink_is_survived_and_its_text_is_not_repeated(
    journal: Path, ship: Ship, caplog: pytest.LogCaptureFixture
) -> None:
    sink = FakeSink([stumble])
    status = ship(sink).to_its_end().status()

    assert len(sink.taken) == 10
    assert status.last_error is not None and status.last_error.startswith("unexpected ValueError at fake_sink.py:")
    assert "Say hi" not in caplog.text


@pytest.mark.parametrize("defect", [{"latency_ms": "three"}, {"user_agent": "half a \ud83d"}])
def test_a_record_that_breaks_its_shape_is_buried_and_holds_up_no_other(
    ship: Ship, letters: Letters, caplog: pytest.LogCaptureFixture, defect: dict[str, str]
) -> None:
    broken = a_call(call_id="broken", **defect)  # no journal gives this

    class Given:
        def __init__(self) -> None:
            self.batches = [RecordBatch(records=[a_call(call_id="one"), broken, a_call(call_id="two")], positions={})]

        async def read(self) -> RecordBatch | None:
            return self.batches.pop(0) if self.batches else None

        async def done(self, batch: RecordBatch) -> None:
            pass

        def stop(self) -> None:
            pass

        async def close(self) -> None:
            pass

    sink = FakeSink()
    source: RecordSource = Given()
    ship(sink, source, shape="sse-proxy" if "latency_ms" in defect else "tokenweir").to_its_end()

    assert ids(sink.taken) == ["one", "two"]
    (letter,) = letters()
    assert letter["call_id"] == "broken"
    assert "no event could be made of it: " in letter["reason"]
    assert "Say hi" in letter["event"]
    assert "Say hi" not in caplog.text


def test_dead_letters_that_find_no_disk_hold_up_the_cursor(journal: Path, tmp_path: Path, ship: Ship) -> None:
    (tmp_path / "dead.jsonl").mkdir()
    run = ship(FakeSink(rejects=lambda event: event.call_id == "call-3"))
    run.most_pauses = 3
    run.to_its_end()

    assert "takes no dead letters" in (run.delivery.last_error or "")
    (tmp_path / "dead.jsonl").rmdir()
    again = ship(FakeSink(rejects=lambda event: event.call_id == "call-3")).to_its_end()
    assert again.outlet.dead == 1


def test_a_journal_that_cannot_be_read_for_a_while_is_read_later(journal: Path, tmp_path: Path, ship: Ship) -> None:
    class Shaky(JournalsSource):
        failures = [JournalError("the disk is asleep")]

        async def read(self) -> RecordBatch | None:
            if self.failures:
                raise self.failures.pop()
            return await super().read()

    sink = FakeSink()
    run = ship(sink, Shaky(tmp_path / "journal", "sink-hub")).to_its_end()

    assert len(sink.taken) == 10
    assert run.delivery.last_error == "the disk is asleep"


def test_a_failure_is_logged_once_and_not_each_time(
    journal: Path, ship: Ship, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "tokenweir.delivery"):
        ship(FakeSink([down()] * 8)).to_its_end()

    said = [message for message in caplog.messages if "gone away" in message]
    assert said == ["sink hub: the other side has gone away; will retry, nothing is lost meanwhile"]
    assert "sink hub: works again" in caplog.messages


# --- any days ---


class Watched(JournalsSource):
    """Fails the test when a position is saved before everything in front of it has arrived somewhere."""

    def __init__(self, root: Path, arrived: Callable[[], set[str]], dies_at: int | None) -> None:
        super().__init__(root, "sink-hub")
        self._arrived = arrived
        self._dies_at = dies_at

    async def done(self, batch: RecordBatch) -> None:
        [(name, place)] = batch.positions.items()
        reader = JournalReader(self._root / name)
        before: set[str] = set()
        while reader._position.text() < place and (records := reader.read(1).records):
            before |= {record.call_id for record in records}
        assert before <= self._arrived()
        await super().done(batch)
        if self._dies_at is not None:
            self._dies_at -= 1
            if self._dies_at < 0:
                raise Killed


LIMIT = 8_192

acts: st.SearchStrategy[Act] = st.one_of(
    st.integers(0, 5).map(down),
    st.floats(0, 1e4).map(throttle),
    st.just(deny),
    st.just(stumble),
    st.integers(0, 5).map(killed),
)
record_sizes = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 12_000)), min_size=0, max_size=8)
runs = st.lists(st.tuples(record_sizes, st.lists(acts, max_size=4), st.none() | st.integers(0, 2)), max_size=4)


@settings(max_examples=60)
@given(runs, st.sets(st.integers(0, 31), max_size=3), st.sampled_from(["split", "shed"]))
def test_whatever_happens_nothing_is_lost_order_is_kept_and_the_cursor_is_never_ahead(
    days: list[tuple[list[tuple[str, int]], list[Act], int | None]], unwanted: set[int], on_too_large: str
) -> None:
    told = SinkSettings(
        name="hub",
        kind="event_hubs",
        connection=EventHubsConnection(),
        on_too_large=on_too_large,  # type: ignore[arg-type]
    )
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        written: list[CallRecord] = []
        arrived: list[JsonEvent] = []

        def rejects(event: JsonEvent) -> bool:
            return int(event.properties["seq"]) in unwanted

        def buried() -> list[dict[str, Any]]:
            file = root / "dead.jsonl"
            return [msgspec.json.decode(line) for line in file.read_bytes().splitlines()] if file.exists() else []

        for sizes, faults, dies_at in [*days, ([], [], None)]:
            new = [
                a_call(call_id=new_call_id(), seq=len(written) + n, caller=caller, request_body="x" * size)
                for n, (caller, size) in enumerate(sizes)
            ]
            written += new
            write_journal(root / "journal" / "relay-0", new, segment_size=20_000)
            sink = FakeSink(faults, limit=LIMIT, rejects=rejects)
            sink.taken = arrived  # the other side is one and the same in all runs
            source = Watched(
                root / "journal",
                lambda: {event.call_id for event in arrived} | {letter["call_id"] for letter in buried()},
                dies_at,
            )
            try:
                Run(root, sink, told, source).to_its_end()
            except Killed:
                pass
            assert sink.is_closed

        assert {letter["call_id"] for letter in buried()} == {one.call_id for one in written if one.seq in unwanted}
        assert all(letter["reason"] == "nobody wants them" and letter["event"] for letter in buried())
        for caller in "abc":
            expected = [
                (event.call_id, event.properties.get("part"))
                for record in written
                if record.caller == caller and record.seq not in unwanted
                for event in fit_json(record, told, LIMIT)
            ]
            came = [(event.call_id, event.properties.get("part")) for event in arrived if event.key == caller]
            assert list(dict.fromkeys(came)) == expected


def test_a_loop_that_is_cancelled_closes_its_sink(journal: Path, ship: Ship) -> None:
    sink = FakeSink()
    run = ship(sink)

    async def cancel() -> None:
        reached = asyncio.Event()

        async def pause(seconds: float) -> None:
            reached.set()
            await asyncio.Event().wait()

        run.delivery._pause = pause
        task = asyncio.get_running_loop().create_task(run.delivery.run())
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert sink.is_closed
