"""A ledger that cannot be opened at first, and is opened when it can."""

from collections.abc import Callable
from pathlib import Path

import pytest

from support.clocks import JumpingClock
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


@pytest.mark.parametrize("url", ["mysql://host/db", "duckdb:", "none", "postgresql://host/db?nonsense=1"])
def test_an_address_that_is_wrong_is_a_mistake_at_once(url: str) -> None:
    with pytest.raises(ConfigError, match=r"ledger\.url"):
        ledger_opener(url)
