"""How a writer is doing can be read by others, also when its disk is full."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from tokenweir.journal import JournalStatus, read_status
from tokenweir.journal.status import write_status

STATUS = JournalStatus(
    replica="host-relay-1-abc",
    written_at=datetime(2025, 1, 1, tzinfo=UTC),
    running=True,
    records_written=12,
    bytes_written=1200,
    commits=3,
    last_commit_ms=0.8,
    waiting_records=0,
    waiting_bytes=0,
    content_shed=0,
    records_lost=0,
    failing_since=None,
    last_error=None,
    gauges={"open_streams": 17, "cpu": 0.5},
)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    write_status(tmp_path, STATUS)

    assert read_status(tmp_path) == STATUS
    assert [path.name for path in tmp_path.iterdir()] == ["status.json"]


def test_nothing_or_nonsense_is_no_status(tmp_path: Path) -> None:
    assert read_status(tmp_path) is None
    (tmp_path / "status.json").write_text("{")
    assert read_status(tmp_path) is None


def test_a_disk_that_is_gone_is_not_an_error(tmp_path: Path) -> None:
    write_status(tmp_path / "gone", STATUS)

    assert read_status(tmp_path / "gone") is None


def test_a_full_disk_still_tells_that_it_is_full(small_disk: Path, fill_up: Callable[[Path], None]) -> None:
    write_status(small_disk, STATUS)
    fill_up(small_disk)
    failing = msgspec.structs.replace(STATUS, failing_since=STATUS.written_at, last_error="No space left on device")

    write_status(small_disk, failing)
    assert read_status(small_disk) == failing

    write_status(small_disk, STATUS)
    assert read_status(small_disk) == STATUS
