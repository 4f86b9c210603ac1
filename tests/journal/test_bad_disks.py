"""A disk that is full, blocked, gone or limited: nothing is lost, it is said aloud, and it recovers by itself."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from support.clocks import JumpingClock
from tokenweir.errors import JournalError
from tokenweir.journal import Journal, JournalReader, JournalSettings, read_missing, read_status
from tokenweir.journal.log import MAX_BYTES_WITH_CONTENT, MAX_WAITING_BYTES
from tokenweir.records import CallRecord, Size, SystemClock

MakeRecord = Callable[..., CallRecord]
ReadAll = Callable[[Path], list[CallRecord]]
Until = Callable[[Callable[[], object]], None]
FillUp = Callable[[Path], Path]

BODY = "x" * 10_000
BIG = "x" * 8 * 1024 * 1024


def open_journal(directory: Path, on_failure: Literal["refuse", "shed_content"] = "refuse") -> Journal:
    return Journal.open(directory, JournalSettings(on_failure=on_failure), SystemClock())


def test_a_full_disk_refuses_calls_keeps_records_and_writes_them_when_there_is_room(
    small_disk: Path, make_record: MakeRecord, read_all: ReadAll, messages: Any, fill_up: FillUp, until: Until
) -> None:
    directory = small_disk / "relay-1"
    journal = open_journal(directory)
    for seq in range(1, 11):
        journal.append(make_record(seq, response_body=BODY))
    until(lambda: journal.status().records_written == 10)
    filler = fill_up(small_disk)
    for seq in range(11, 31):
        journal.append(make_record(seq, response_body=BODY))
    messages.wait_for("No space left on device")

    assert not journal.accepts_calls
    assert "failing since" in repr(journal)
    status = journal.status()
    assert status.failing_since is not None
    assert status.last_error is not None
    assert "free space on its disk" in status.last_error
    until(lambda: (told := read_status(directory)) and told.failing_since and told.waiting_records)

    journal.append(make_record(31, response_body=BODY))
    written = [record.seq for record in read_all(directory)]
    assert written == list(range(1, len(written) + 1))
    assert journal.status().waiting_records == 31 - len(written) > 0

    filler.unlink()
    until(lambda: journal.accepts_calls)
    assert journal.close() == 0
    assert [record.seq for record in read_all(directory)] == list(range(1, 32))
    assert all(record.response_body == BODY for record in read_all(directory))
    assert len(messages.about("new calls are refused")) == 1
    assert len(messages.about("is written again")) == 1


def test_a_reader_that_follows_through_a_full_disk_sees_each_record_once(
    small_disk: Path, make_record: MakeRecord, messages: Any, fill_up: FillUp, until: Until
) -> None:
    directory = small_disk / "relay-1"
    journal = open_journal(directory)
    reader, seqs = JournalReader(directory), list[int]()

    def is_read_up_to(last: int) -> bool:
        seqs.extend(record.seq for record in reader.read(3).records)
        return bool(seqs) and seqs[-1] == last

    filler = fill_up(small_disk)
    os.truncate(filler, filler.stat().st_size - 60_000)
    for seq in range(1, 21):
        journal.append(make_record(seq, response_body=BODY))
    messages.wait_for("No space left on device")
    until(lambda: is_read_up_to(journal.status().records_written))
    assert len(seqs) < 20

    filler.unlink()
    until(lambda: is_read_up_to(20))
    assert seqs == list(range(1, 21))
    assert reader.damaged_stretches == 0
    assert journal.close() == 0


def full_when_closing(
    disk: Path, messages: Any, fill_up: FillUp, records: list[CallRecord], reserve: int = 1 << 23
) -> Journal:
    """A journal that closes with these records on a disk that takes nothing."""
    journal = Journal.open(disk / "relay-1", JournalSettings(reserve=Size(reserve)), SystemClock())
    fill_up(disk)
    for record in records:
        record = msgspec.structs.replace(record, replica=journal.replica)
        assert journal.next_seq() == record.seq
        journal.append(record)
    messages.wait_for("No space left on device")
    return journal


def test_closing_on_a_full_disk_writes_what_waits_into_the_reserve(
    small_disk: Path, make_record: MakeRecord, read_all: ReadAll, messages: Any, fill_up: FillUp
) -> None:
    records = [make_record(seq, response_body=BODY) for seq in range(1, 6)]
    journal = full_when_closing(small_disk, messages, fill_up, records)

    assert journal.close() == 0
    assert [record.call_id for record in read_all(journal.directory)] == [record.call_id for record in records]
    assert all(record.response_body == BODY for record in read_all(journal.directory))
    assert not messages.about("records are lost")
    (small_disk / "filler").unlink()
    Journal.open(journal.directory, JournalSettings(), SystemClock()).close()
    assert read_missing(journal.directory) == []


def test_a_reserve_that_is_short_keeps_the_answered_calls_without_their_bodies(
    small_disk: Path, make_record: MakeRecord, read_all: ReadAll, messages: Any, fill_up: FillUp
) -> None:
    refused = [make_record(seq, error_code="journal_unavailable", status=503) for seq in range(1, 101)]
    answered = [make_record(seq, response_body=BODY, status=200) for seq in range(101, 121)]
    journal = full_when_closing(small_disk, messages, fill_up, [*refused, *answered], reserve=16_384)
    lost = journal.close()

    kept = read_all(journal.directory)
    assert len(kept) == 120 - lost < 120
    assert {record.call_id for record in answered} < {record.call_id for record in kept}
    assert all(record.response_body is None for record in kept)
    [message] = messages.about("records are lost")
    assert f"{lost} waiting" in message.getMessage()


def test_closing_on_a_full_disk_without_a_reserve_says_how_many_records_are_lost(
    small_disk: Path, make_record: MakeRecord, messages: Any, fill_up: FillUp
) -> None:
    records = [make_record(seq, response_body=BODY) for seq in range(1, 6)]
    journal = full_when_closing(small_disk, messages, fill_up, records, reserve=0)

    assert journal.close() == 5
    [message] = messages.about("records are lost")
    assert "5 waiting" in message.getMessage()
    status = read_status(journal.directory)
    assert status is not None
    assert (status.records_lost, status.running) == (5, False)


def test_what_the_run_before_has_lost_is_counted_also_while_the_disk_takes_no_note_of_it(
    small_disk: Path, make_record: MakeRecord, messages: Any, fill_up: FillUp
) -> None:
    records = [make_record(seq, response_body=BODY) for seq in range(1, 6)]
    journal = full_when_closing(small_disk, messages, fill_up, records, reserve=0)
    assert journal.close() == 5

    following = Journal.open(journal.directory, JournalSettings(), SystemClock())
    lost = following.status().records_unnoted
    assert lost >= 5
    assert read_missing(journal.directory) == []
    (small_disk / "filler").unlink()
    following.close()
    assert following.status().records_unnoted == 0
    assert sum(one.records for one in read_missing(journal.directory)) == lost


def test_the_reserve_is_taken_again_when_the_disk_has_room(
    small_disk: Path, make_record: MakeRecord, messages: Any, fill_up: FillUp
) -> None:
    journal = full_when_closing(small_disk, messages, fill_up, [make_record(1)])
    assert journal.close() == 0
    assert not (journal.directory / "reserve").exists()

    (small_disk / "filler").unlink()
    Journal.open(journal.directory, JournalSettings(), SystemClock()).close()
    assert (journal.directory / "reserve").stat().st_size > 0


def test_shedding_content_goes_on_with_bare_records_and_takes_calls(
    small_disk: Path, make_record: MakeRecord, read_all: ReadAll, messages: Any, fill_up: FillUp
) -> None:
    directory = small_disk / "relay-1"

    async def run() -> None:
        journal = open_journal(directory, "shed_content")
        filler = fill_up(small_disk)
        # Room for a new segment with many bare records, and for none with a body.
        os.truncate(filler, filler.stat().st_size - 8192)
        done = asyncio.Event()
        for seq in range(1, 21):
            journal.append(make_record(seq, request_body=BODY, response_body=BODY), done.set if seq == 20 else None)
            assert journal.accepts_calls
        await done.wait()

        assert journal.accepts_calls
        status = journal.status()
        assert status.content_shed == 20
        assert status.failing_since is not None
        assert (status.waiting_records, status.waiting_bytes) == (0, 0)
        assert journal.close() == 0

    asyncio.run(run())
    records = read_all(directory)
    assert [record.seq for record in records] == list(range(1, 21))
    assert {record.response_body for record in records} == {None}
    assert len(messages.about("records go without their bodies")) == 1


def test_content_is_kept_again_when_the_disk_has_been_well_for_a_while(
    blocked: Path, make_record: MakeRecord, read_all: ReadAll, messages: Any, until: Until
) -> None:
    clock = JumpingClock(runs=True)
    blocked.unlink()
    journal = Journal.open(blocked, JournalSettings(on_failure="shed_content"), clock)
    block(blocked)
    journal.append(make_record(1, response_body=BODY))
    messages.wait_for("records go without their bodies")
    blocked.unlink()
    until(lambda: journal.status().records_written == 1)
    journal.append(make_record(2, response_body=BODY))
    until(lambda: journal.status().records_written == 2)
    assert journal.status().failing_since is not None

    clock.jump(60)
    until(lambda: journal.status().failing_since is None)
    journal.append(make_record(3, response_body=BODY))
    journal.close()

    assert [record.response_body for record in read_all(blocked)] == [None, None, BODY]
    assert journal.status().content_shed == 2


def test_a_journal_that_was_deleted_is_begun_anew_and_locked_again(
    tmp_path: Path, make_record: MakeRecord, read_all: ReadAll, messages: Any, until: Until
) -> None:
    directory = tmp_path / "relay-1"
    journal = open_journal(directory)
    journal.append(make_record(1))
    until(lambda: journal.status().records_written == 1)
    position = JournalReader(directory).read(1).position

    remove(directory)
    messages.wait_for("was removed from")
    messages.wait_for("is written again")
    journal.append(make_record(2))
    until(lambda: journal.status().records_written == 2)

    with pytest.raises(JournalError, match="is being written by process"):
        open_journal(directory)
    assert journal.close() == 0
    assert [record.seq for record in JournalReader(directory, position).read(10).records] == [2]


def test_while_the_place_is_blocked_nothing_is_accepted_and_nothing_is_lost(
    blocked: Path, make_record: MakeRecord, read_all: ReadAll, messages: Any, until: Until
) -> None:
    blocked.unlink()
    journal = open_journal(blocked)
    block(blocked)
    for seq in range(1, 4):
        journal.append(make_record(seq))
    messages.wait_for("new calls are refused")
    assert not journal.accepts_calls

    blocked.unlink()
    until(lambda: journal.accepts_calls)
    until(lambda: journal.status().waiting_records == 0)
    assert journal.close() == 0
    assert [record.seq for record in read_all(blocked)] == [1, 2, 3]


def test_memory_for_what_waits_is_bounded_and_content_goes_first(
    blocked: Path, make_record: MakeRecord, messages: Any
) -> None:
    blocked.unlink()
    journal = open_journal(blocked)
    block(blocked)
    while journal.status().waiting_bytes <= MAX_BYTES_WITH_CONTENT - len(BIG):
        journal.append(make_record(1, response_body=BIG))
    assert journal.status().content_shed == 0

    journal.append(make_record(2, response_body=BIG))
    assert journal.status().content_shed == 1
    journal.append(make_record(3, path=BIG))
    journal.append(make_record(4, outcome="refused", error_code="journal_unavailable"))
    assert journal.status().records_lost == 1

    while journal.status().waiting_bytes <= MAX_WAITING_BYTES - len(BIG):
        journal.append(make_record(5, path=BIG))
    waiting, last = journal.status().waiting_records, make_record(6, path=BIG)
    with pytest.raises(JournalError, match=last.call_id):
        journal.append(last)

    assert journal.status().waiting_bytes <= MAX_WAITING_BYTES
    assert journal.status().records_lost == 2
    assert len(messages.about(last.call_id)) == 1
    assert not journal.accepts_calls
    assert journal.close() == waiting


LIMITED = """
import logging, resource, sys, threading
from datetime import UTC, datetime
from pathlib import Path
from tokenweir.journal import Journal, JournalReader, JournalSettings
from tokenweir.records import CallRecord, Size, SystemClock

class Said(logging.Handler):
    def __init__(self, event): super().__init__(); self.event = event
    def emit(self, record): self.event.set()

failed = threading.Event()
logging.getLogger("tokenweir.journal").addHandler(Said(failed))
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
directory = Path(sys.argv[1])
journal = Journal.open(directory, JournalSettings(), SystemClock())
for seq in range(1, 6):
    path = "x" * 9_000 * seq
    journal.append(CallRecord(call_id=str(seq), seq=seq, started_at=datetime.now(UTC), path=path))
failed.wait()
assert not journal.accepts_calls
print(journal.status().last_error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
lost = journal.close()
reader = JournalReader(directory)
seqs = []
while records := reader.read(2).records:
    seqs += [record.seq for record in records]
print(lost, seqs, reader.damaged_stretches)
"""


def test_a_limit_on_file_sizes_costs_no_record(tmp_path: Path) -> None:
    told = subprocess.run([sys.executable, "-c", LIMITED, str(tmp_path)], capture_output=True, text=True)

    assert told.returncode == 0, told.stderr
    reason, result = told.stdout.splitlines()
    assert "File too large" in reason
    assert "ulimit -f" in reason
    assert result == "0 [1, 2, 3, 4, 5] 0"


def test_a_read_only_disk_is_an_error_with_advice(small_disk: Path) -> None:
    (small_disk / "relay-1").mkdir()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)

    with pytest.raises(JournalError, match="Read-only file system.*mount the file system for writing"):
        open_journal(small_disk / "relay-1")


UNPRIVILEGED = """
import os, sys
from pathlib import Path
from tokenweir.errors import JournalError
from tokenweir.journal import Journal, JournalSettings
from tokenweir.records import SystemClock

if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    Journal.open(Path(sys.argv[1]), JournalSettings(), SystemClock())
except JournalError as error:
    print(error)
"""


def test_a_directory_without_permission_is_an_error_with_advice(tmp_path: Path) -> None:
    """In a process that gives up root's rights, which would be let in anywhere."""
    directory = tmp_path / "relay-1"
    directory.mkdir(mode=0o500)
    told = subprocess.run([sys.executable, "-c", UNPRIVILEGED, str(directory)], capture_output=True, text=True)

    assert told.returncode == 0, told.stderr
    assert "Permission denied): give the user that runs Tokenweir read and write permission" in told.stdout


def remove(directory: Path) -> None:
    """In one step, since the journal may be writing into it."""
    shutil.rmtree(directory.rename(directory.with_name("removed")))


def block(directory: Path) -> None:
    """Puts a file where the directory was, which stops even root."""
    remove(directory)
    directory.touch()
