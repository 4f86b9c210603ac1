"""Records to write, a log that can be waited for, disks that are full or blocked, and processes to kill."""

import logging
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tokenweir.journal import JournalReader
from tokenweir.records import CallRecord, from_fields, new_call_id

APPENDER = Path(__file__).with_name("appender.py")

MakeRecord = Callable[..., CallRecord]
Until = Callable[[Callable[[], object]], None]
StartAppender = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture(scope="session")
def make_record() -> MakeRecord:
    """A record with a number of its own, and whatever else is asked for."""

    def make(seq: int = 1, **fields: object) -> CallRecord:
        return from_fields(call_id=new_call_id(), seq=seq, started_at=datetime.now(UTC), **fields)

    return make


@pytest.fixture(scope="session")
def read_all() -> Callable[[Path], list[CallRecord]]:
    def read(directory: Path) -> list[CallRecord]:
        reader = JournalReader(directory)
        records: list[CallRecord] = []
        while batch := reader.read(100).records:
            records += batch
        assert reader.damaged_stretches == 0
        return records

    return read


@pytest.fixture(scope="session")
def until() -> Until:
    """Looks again and again; the test's timeout is the only limit."""

    def look(condition: Callable[[], object]) -> None:
        while not condition():
            os.sched_yield()

    return look


class Messages(logging.Handler):
    """What the journal has logged, from any thread."""

    def __init__(self) -> None:
        super().__init__()
        self.all: list[logging.LogRecord] = []
        self._more = threading.Condition()

    def emit(self, record: logging.LogRecord) -> None:
        with self._more:
            self.all.append(record)
            self._more.notify_all()

    def about(self, text: str) -> list[logging.LogRecord]:
        return [message for message in list(self.all) if text in message.getMessage()]

    def wait_for(self, text: str) -> None:
        with self._more:
            self._more.wait_for(lambda: self.about(text))


@pytest.fixture
def messages() -> Iterator[Messages]:
    handler = Messages()
    logger = logging.getLogger("tokenweir.journal")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with 1 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip(f"SKIPPED LOUDLY: no disk can be filled up here: {mounted.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.fixture(scope="session")
def fill_up() -> Callable[[Path], Path]:
    """Takes all the space of a disk; gives the file that has to be deleted to make room."""

    def fill(disk: Path) -> Path:
        filler = disk / "filler"
        with open(filler, "wb", buffering=0) as file, suppress(OSError):
            while file.write(bytes(4096)):
                pass
        return filler

    return fill


@pytest.fixture
def blocked(tmp_path: Path) -> Iterator[Path]:
    """A place for a journal that is taken by a file, which stops even root."""
    place = tmp_path / "blocked"
    place.touch()
    yield place
    if place.is_file():
        place.unlink()
    else:
        shutil.rmtree(place)


@pytest.fixture
def start_appender() -> Iterator[StartAppender]:
    """Starts processes that write a journal as fast as they can, and says on stdout what is durable."""
    started: list[subprocess.Popen[bytes]] = []

    def start(directory: Path, **options: object) -> "subprocess.Popen[bytes]":
        arguments = [f"--{name}={value}" for name, value in options.items()]
        command = [sys.executable, str(APPENDER), str(directory), *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        started.append(process)
        return process

    yield start
    for process in started:
        with process:
            process.kill()
