"""A ledger that cannot be opened at first, and is opened when it can."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from support.clocks import JumpingClock
from support.postgres import PostgresServer
from tokenweir.errors import ConfigError
from tokenweir.ledger import LedgerError, ledger_opener, open_ledger
from tokenweir.serve.late_ledger import LateLedger


def corrupt(place: Path) -> Callable[[], object]:
    place.write_bytes(b"no ledger" * 10_000)
    return place.unlink


def locked(place: Path) -> Callable[[], object]:
    return open_ledger(f"duckdb:{place}").close


def in_the_way(place: Path) -> Callable[[], object]:
    place.mkdir()
    return place.rmdir


@pytest.mark.parametrize(
    ("trouble", "reason"), [(corrupt, "cannot be opened"), (locked, "is open in"), (in_the_way, "cannot be opened")]
)
def test_it_says_why_and_opens_when_the_cause_is_gone(
    tmp_path: Path, trouble: Callable[[Path], Callable[[], object]], reason: str
) -> None:
    clock = JumpingClock()
    fix = trouble(tmp_path / "ledger.duckdb")
    ledger = LateLedger(ledger_opener(f"duckdb:{tmp_path}/ledger.duckdb"), clock)
    with pytest.raises(LedgerError, match=f"{reason}.*wait in the journal"):
        ledger.position("relay-0")
    fix()
    clock.jump(0.5)
    with pytest.raises(LedgerError, match=reason):
        ledger.query_sql("SELECT 1")
    clock.jump(1)
    assert ledger.position("relay-0") is None
    assert ledger.query_sql("SELECT 1").rows == [[1]]
    ledger.close()


def not_let_in(postgres: PostgresServer, tmp_path: Path) -> tuple[str, Callable[[], object]]:
    role = f"late_{tmp_path.name}"
    url = postgres.url(role, postgres.new_url().rpartition("%3D")[2])
    ask(postgres, f'CREATE ROLE "{role}" SUPERUSER')
    return url, lambda: ask(postgres, f'ALTER ROLE "{role}" LOGIN')


def away(postgres: PostgresServer, tmp_path: Path) -> tuple[str, Callable[[], object]]:
    place = urlsplit(postgres.admin_url).query.removeprefix("host=")
    link = Path(place) / tmp_path.name  # beside the socket, whose path must be short
    return postgres.new_url().replace(place, str(link)), lambda: link.symlink_to(place)


def newer(postgres: PostgresServer, tmp_path: Path) -> tuple[str, Callable[[], object]]:
    url = postgres.new_url()
    open_ledger(url).close()
    schema = url.rpartition("%3D")[2]
    ask(postgres, f"INSERT INTO {schema}.migrations VALUES (99, 'later', now())")
    return url, lambda: ask(postgres, f"DELETE FROM {schema}.migrations WHERE number = 99")


def ask(postgres: PostgresServer, statement: str) -> None:
    with psycopg.connect(postgres.admin_url, autocommit=True) as connection:
        connection.execute(statement.encode())


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [(not_let_in, "not permitted to log in"), (away, "No such file"), (newer, "has format 99")],
)
def test_a_server_that_cannot_be_used_yet_stops_nobody_either(
    tmp_path: Path, postgres: PostgresServer, trouble: Callable[..., tuple[str, Callable[[], object]]], reason: str
) -> None:
    clock = JumpingClock()
    url, fix = trouble(postgres, tmp_path)
    ledger = LateLedger(ledger_opener(url), clock)
    with pytest.raises(LedgerError, match=f"{reason}.*wait in the journal"):
        ledger.position("relay-0")
    fix()
    clock.jump(1)
    assert ledger.position("relay-0") is None
    ledger.close()


def test_it_is_tried_less_and_less_often() -> None:
    clock = JumpingClock()
    tried: list[float] = []

    def fail() -> object:
        tried.append(clock.monotonic())
        raise LedgerError("away")

    ledger = LateLedger(fail, clock)  # type: ignore[arg-type]
    for _ in range(600):
        with pytest.raises(LedgerError, match="away"):
            ledger.position("")
        clock.jump(0.1)
    pauses = [round(after - before) for before, after in zip(tried, tried[1:], strict=False)]
    assert pauses == [1, 2, 4, 8, 15, 15]


@pytest.mark.parametrize("url", ["mysql://host/db", "duckdb:", "duckdb:a?b", "none", "postgresql://host/db?nonsense=1"])
def test_an_address_that_is_wrong_is_a_mistake_at_once(url: str) -> None:
    with pytest.raises(ConfigError, match=r"ledger\.url"):
        ledger_opener(url)
