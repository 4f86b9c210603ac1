"""The archive of segments in blob storage (Azurite, signed in by identity) and in a directory: the same behaviour."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from support.azurite import Azurite, azurite_by_identity
from support.journals import NOW, write_journal
from tokenweir.delivery import Denied
from tokenweir.delivery.importing import open_import
from tokenweir.delivery.segment_blobs import open_archive
from tokenweir.journal import Archive, archived_name
from tokenweir.records import CallRecord, SystemClock, new_call_id

RECORDS = [CallRecord(call_id=new_call_id(), started_at=NOW, caller=f"team-{number}") for number in range(10)]


@pytest.fixture
def azurite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Azurite]:
    with azurite_by_identity(tmp_path, monkeypatch, is_trusted=True) as azurite:
        yield azurite


@pytest.fixture(params=["directory", "blobs"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "directory":
        return str(tmp_path / "archive")
    azurite = request.getfixturevalue("azurite")
    return f"{azurite.url}/{azurite.make_container()}"


def filled(place: str, tmp_path: Path) -> Archive:
    write_journal(tmp_path / "journal/relay-0", RECORDS[:6])
    write_journal(tmp_path / "journal/relay-0", RECORDS[6:])
    archive = open_archive(place)
    for segment in sorted((tmp_path / "journal").rglob("*.twj")):
        for _ in range(2):  # as after an interruption
            archive.keep(segment, archived_name("host-1", segment))
    return archive


def test_what_is_kept_can_be_imported(place: str, tmp_path: Path) -> None:
    archive = filled(place, tmp_path)
    names = list(archive.names())
    assert [name.rpartition("/")[0] for name in names] == ["host-1/relay-0"] * 2
    source = open_import(place, "duckdb:x")
    batches = list(source.batches())
    assert [record.call_id for batch in batches for record in batch.records] == [one.call_id for one in RECORDS]
    assert sum(batch.done for batch in batches) == source.total == 2


def test_what_is_older_than_the_term_goes(place: str, tmp_path: Path) -> None:
    archive = filled(place, tmp_path)
    now = SystemClock().now()
    assert archive.prune(now - timedelta(hours=1)) == 0
    assert archive.prune(now + timedelta(hours=1)) == 2
    assert list(archive.names()) == []


def test_a_segment_can_be_replaced(place: str, tmp_path: Path) -> None:
    archive = filled(place, tmp_path)
    [first, second] = archive.names()
    archive.replace(archive.fetch(second, tmp_path), first)
    records = [record for batch in open_import(place, "duckdb:x").batches() for record in batch.records]
    assert len(records) == 8


def test_a_container_that_is_not_there_is_said(azurite: Azurite, tmp_path: Path) -> None:
    with pytest.raises(Denied, match="there is no container 'nowhere' for the segments; create it"):
        filled(f"{azurite.url}/nowhere", tmp_path)
