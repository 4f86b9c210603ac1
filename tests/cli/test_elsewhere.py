"""A gateway's configuration, named from another directory, leads every command to that gateway's data."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.journals import write_journal
from tokenweir.policy.keys_file import read_keys
from tokenweir.records import CallRecord, SystemClock

Tokenweir = Callable[..., Any]


@pytest.fixture
def elsewhere(here: Path, minimal: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file; the working directory is another one, and empty."""
    folder = here / "gateway"
    folder.mkdir()
    file = minimal.rename(folder / "tokenweir.toml")
    (here / "home").mkdir()
    monkeypatch.chdir(here / "home")
    return file


def test_a_key_is_made_where_the_gateway_looks_for_it(tokenweir: Tokenweir, elsewhere: Path) -> None:
    ran = tokenweir("keys", "create", "team-a", "--config", str(elsewhere))
    kept = elsewhere.parent / "tokenweir-data/keys.json"
    [stored] = read_keys(kept)
    assert stored.caller == "team-a" and str(kept) in ran.err
    [listed] = json.loads(tokenweir("keys", "list", "--format", "json", "--config", "../gateway/tokenweir.toml").out)
    assert listed["key_id"] == stored.key_id
    assert list(Path().iterdir()) == []


def test_usage_and_doctor_look_there_too(tokenweir: Tokenweir, elsewhere: Path) -> None:
    data = elsewhere.parent / "tokenweir-data"
    record = CallRecord(call_id="c-1", replica="r", seq=1, started_at=SystemClock().now(), caller="team-a")
    write_journal(data / "journal/relay-0", [record])
    [row] = json.loads(tokenweir("usage", "--format", "json", "--config", str(elsewhere)).out)
    assert (row["caller"], row["calls"]) == ("team-a", 1)
    said = tokenweir("doctor", "--config", str(elsewhere)).out
    assert f"ledger: duckdb:{data}/ledger.duckdb can be opened" in said
    assert "journal of relay-0: every record that it holds is in the ledger" in said
    assert list(Path().iterdir()) == []


def test_doctor_tells_of_data_that_is_here_instead(tokenweir: Tokenweir, elsewhere: Path) -> None:
    tokenweir("keys", "create", "team-a")  # without a file: here
    said = tokenweir("doctor", "--config", str(elsewhere)).out
    assert f"[server] keys: {Path('tokenweir-data/keys.json').absolute()} is not used" in said
