"""Records that are somewhere else already, as batches for a ledger: segments of a journal or an archive, JSON lines as
a sink of kind ``file`` writes them, or another ledger. A ledger takes each call once, by its id, so all of it may be
read any number of times.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, Protocol

from ..errors import ConfigError, TokenweirError
from ..journal import Archive, DirectoryArchive, JournalReader
from ..ledger import Ledger, check_url, ledger_file, open_ledger
from ..records import CallRecord
from .base import BrokerMessage
from .segment_blobs import is_container, open_archive
from .sources.formats import Unreadable, decode, unwrap

__all__ = ["ImportBatch", "ImportSource", "open_import"]

_RECORDS = 1_000
_BYTES = 4 * 1024 * 1024


class ImportBatch(NamedTuple):
    """Some records, and what could not be read beside them."""

    records: Sequence[CallRecord]
    done: int
    """How much of the source's ``total`` is read with this batch; 0 where it goes on within the same piece."""
    unreadable: Sequence[str] = ()
    """Where, and why; nothing of what stands there."""


class ImportSource(Protocol):
    """Read once, from the beginning to the end. Blocks; raises `TokenweirError`."""

    what: str
    """For a person."""
    total: int
    """How much there is, in ``unit``."""
    unit: str

    def batches(self) -> Iterator[ImportBatch]: ...


def open_import(place: str, target: str) -> ImportSource:
    """What is at a place: a ledger's address, a container of blob storage, a directory, a segment, or JSON lines.

    `ConfigError` if there is nothing, or it is the ledger ``target`` itself.
    """
    if is_container(place):
        return _Segments(open_archive(place))
    if "://" in place or place.startswith("duckdb:"):
        return _open_other_ledger(place, target)
    path = Path(place)
    if not path.exists():
        raise ConfigError(f"there is nothing at {place}; name a directory, a file or the address of a ledger")
    if path.suffix == ".twj":
        return _Segments(DirectoryArchive(path.parent), only=path.name)
    if path.is_file():
        return _Lines([path])
    archive = DirectoryArchive(path)
    if next(archive.names(), None) is not None:
        return _Segments(archive)
    files = sorted(one for one in path.rglob("*.jsonl*") if one.is_file())
    if not files:
        raise ConfigError(f"{place} holds neither segments (*.twj) nor JSON lines (*.jsonl)")
    return _Lines(files)


def _open_other_ledger(url: str, target: str) -> ImportSource:
    check_url(url)
    if url == target:
        raise ConfigError("that is the ledger itself; give its backup, or set another ledger.url")
    file = ledger_file(url)
    if file is not None and not Path(file).exists():
        raise ConfigError(f"there is no ledger at {file}")
    return _OtherLedger(open_ledger(url))


class _Segments:
    """All segments of an archive, or those of journals."""

    unit = "segments"

    def __init__(self, archive: Archive, only: str | None = None) -> None:
        self.what = archive.where if only is None else f"{archive.where}/{only}"
        self._archive = archive
        self._names = [name for name in archive.names() if only is None or name == only]
        self.total = len(self._names)

    def batches(self) -> Iterator[ImportBatch]:
        for name in self._names:
            with TemporaryDirectory(prefix="tokenweir-import-") as folder:
                yield from self._segment(name, Path(folder))

    def _segment(self, name: str, folder: Path) -> Iterator[ImportBatch]:
        segment = self._archive.fetch(name, folder)
        # A reader goes through a directory, and here it has one in which there is nothing else.
        alone = folder / "alone"
        alone.mkdir()
        (alone / name.rpartition("/")[2]).symlink_to(segment.absolute())
        reader = JournalReader(alone)
        while records := reader.read(_RECORDS).records:
            yield ImportBatch(records, 0)
        damage = f"{name}: {reader.damaged_bytes:,} bytes are damaged"
        yield ImportBatch([], 1, [damage] if reader.damaged_stretches else [])


class _Lines:
    """Files of JSON lines. A last line that is not whole is one that is being written, and is left out."""

    unit = "bytes"

    def __init__(self, files: Sequence[Path]) -> None:
        self.what = str(files[0]) if len(files) == 1 else f"{len(files)} files beside {files[0]}"
        self._files = files
        self.total = sum(file.stat().st_size for file in files)

    def batches(self) -> Iterator[ImportBatch]:
        for file in self._files:
            try:
                yield from self._file(file)
            except OSError as error:
                raise TokenweirError(f"{file} cannot be read: {error.strerror}") from error

    def _file(self, path: Path) -> Iterator[ImportBatch]:
        records: list[CallRecord] = []
        unreadable: list[str] = []
        size = 0
        with open(path, "rb") as file:
            for number, line in enumerate(file, start=1):
                size += len(line)
                if line.endswith(b"\n") and line.strip():
                    try:
                        records.append(_record(line.rstrip()))
                    except Unreadable as error:
                        unreadable.append(f"{path}, line {number}: {error}")
                if len(records) >= _RECORDS or size >= _BYTES:
                    yield ImportBatch(records, size, unreadable)
                    records, unreadable, size = [], [], 0
        yield ImportBatch(records, size, unreadable)


def _record(line: bytes) -> CallRecord:
    part = unwrap(BrokerMessage(body=line, place=""))
    if part.parts > 1:
        raise Unreadable("it is a part of a record that was too large for a message")
    return decode(part.data)


class _OtherLedger:
    """Every call of a ledger, contents included."""

    unit = "calls"

    def __init__(self, ledger: Ledger) -> None:
        self.what = str(ledger)
        self._ledger = ledger
        self.total = sum(row["calls"] for row in ledger.usage([]))

    def batches(self) -> Iterator[ImportBatch]:
        try:
            last = ""
            while records := self._ledger.records_after(last, _RECORDS):
                last = records[-1].call_id
                yield ImportBatch(records, len(records))
        finally:
            self._ledger.close()
