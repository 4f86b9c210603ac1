"""What a ledger was given, and what somebody makes of it afterwards."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given

from support.call_records import any_record
from support.engines import Engine
from tokenweir.ledger import Ledger, Person
from tokenweir.ledger.seals import NEWEST_FORMAT, Seal, digest_of_records, digest_of_rows
from tokenweir.ledger.upkeep import Upkeep
from tokenweir.records import CallRecord, flat_fields

from .conftest import START, MakeCall


def seals_of(ledger: Ledger) -> list[Seal]:
    assert isinstance(ledger, Upkeep)
    return ledger.seals()


def change_beside(engine: Engine, statement: str) -> None:
    """As somebody does who has come past the books."""
    calls = engine.rows_of.format("calls")
    if engine.name == "clickhouse":
        statement = re.sub(r"UPDATE (\S+) SET (.*)", r"ALTER TABLE \1 UPDATE \2 SETTINGS mutations_sync = 2", statement)
    with engine.connect() as connection:
        connection.execute(statement.format(calls=calls))


@pytest.fixture
def posted(ledger: Ledger, make_call: MakeCall) -> Ledger:
    """Three batches of four calls."""
    for batch in range(3):
        ledger.post([a_call(make_call, number) for number in range(4)], "here", str(batch))
    return ledger


def a_call(make_call: MakeCall, number: int) -> CallRecord:
    return make_call(
        caller="ada" if number % 2 else "bob",
        tags={"team": "söl", "cost_centre": "4711"},
        replica="run-1",
        latency_ms=0.1 + number,
        input_tokens=1000 + number,
        usage_source="reported",
        cost=Decimal("0.0012500"),
        currency="EUR",
    )


def test_what_was_posted_is_found_as_it_was(posted: Ledger) -> None:
    found = posted.verify()

    assert found.is_sound
    assert (found.seals, found.calls, found.unsealed, len(found.head)) == (3, 12, 0, 64)


def test_a_ledger_without_calls_is_sound(ledger: Ledger) -> None:
    assert ledger.verify().is_sound


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE {calls} SET input_tokens = 1 WHERE call_id = 'call-0005'",
        "UPDATE {calls} SET cost = 0.001 WHERE call_id = 'call-0005'",
        "UPDATE {calls} SET caller = 'eve' WHERE call_id = 'call-0005'",
        "DELETE FROM {calls} WHERE call_id = 'call-0005'",
    ],
)
def test_a_call_that_was_changed_or_removed_is_told_by_its_batch(posted: Ledger, engine: Engine, change: str) -> None:
    change_beside(engine, change)

    found = posted.verify()

    assert not found.is_sound
    [altered] = found.altered
    assert altered.first_started == START + timedelta(minutes=4)
    assert altered.sealed - altered.found == (1 if change.startswith("DELETE") else 0)


def test_a_call_that_was_added_beside_the_books_has_no_seal(
    posted: Ledger, engine: Engine, make_call: MakeCall
) -> None:
    posted.post([make_call(started_at=datetime.now(UTC) + timedelta(minutes=1))], "here", "4")
    assert posted.verify().is_sound
    change_beside(engine, "UPDATE {calls} SET seal = NULL WHERE call_id = 'call-0012'")

    found = posted.verify()
    assert (found.added, found.unsealed) == (1, 0)
    assert not found.is_sound


def test_calls_from_before_there_were_seals_are_counted(posted: Ledger, engine: Engine) -> None:
    change_beside(engine, f"UPDATE {{calls}} SET seal = NULL WHERE seal = {seals_of(posted)[0].seal}")
    change_beside(engine, f"DELETE FROM seals WHERE seal = {seals_of(posted)[0].seal}")

    assert posted.verify().unsealed == 4


def test_a_seal_that_was_removed_with_its_calls_is_missed_by_the_next_one(posted: Ledger, engine: Engine) -> None:
    seal = seals_of(posted)[1]
    change_beside(engine, f"DELETE FROM {{calls}} WHERE seal = {seal.seal}")
    change_beside(engine, f"DELETE FROM seals WHERE seal = {seal.seal}")

    found = posted.verify()

    assert found.torn == [seal.digest]
    assert not found.is_sound


def test_the_newest_seal_is_missed_by_who_has_noted_it(posted: Ledger, engine: Engine) -> None:
    noted = posted.verify().head
    seal = seals_of(posted)[-1]
    change_beside(engine, f"DELETE FROM {{calls}} WHERE seal = {seal.seal}")
    change_beside(engine, f"DELETE FROM seals WHERE seal = {seal.seal}")

    assert posted.verify().is_sound  # nothing in the ledger knows of it
    assert not posted.verify(head=noted).is_sound


def test_each_start_goes_on_from_the_newest_seal(engine: Engine, make_call: MakeCall) -> None:
    for position in ("1", "2"):
        ledger = engine.open()
        ledger.post([a_call(make_call, 1)], "here", position)
        found, seals = ledger.verify(), seals_of(ledger)
        ledger.close()

    assert found.is_sound
    assert [seal.previous for seal in seals] == ["", seals[0].digest]


def test_calls_that_are_posted_again_have_one_seal(posted: Ledger, make_call: MakeCall) -> None:
    again = posted.records_after("", 12)
    posted.post([*again, a_call(make_call, 1)], "here", "again")

    found = posted.verify()
    assert found.is_sound
    assert found.calls == 13


def test_only_a_time_is_verified(posted: Ledger, engine: Engine) -> None:
    change_beside(engine, "UPDATE {calls} SET caller = 'eve' WHERE call_id = 'call-0001'")

    assert not posted.verify(until=START + timedelta(minutes=4)).is_sound
    assert posted.verify(since=START + timedelta(minutes=4)).is_sound


def test_a_number_that_is_missing_in_a_run_is_told(ledger: Ledger, make_call: MakeCall) -> None:
    ledger.post([make_call(replica="run-1", seq=seq) for seq in (4, 5, 8)], "here", "1")

    [gap] = ledger.verify().gaps
    assert (gap.replica, gap.first, gap.last, gap.missing) == ("run-1", 4, 8, 2)


@pytest.mark.parametrize("column", ["caller", "subject"])
def test_who_was_forgotten_leaves_a_ledger_that_is_sound(posted: Ledger, engine: Engine, column: str) -> None:
    posted.erase(Person.of(column, "ada"))

    found = posted.verify()
    assert found.is_sound
    assert found.erased == (3 if column == "caller" else 0)
    change_beside(engine, "UPDATE {calls} SET input_tokens = 1 WHERE call_id = 'call-0005'")
    assert not posted.verify().is_sound


@given(any_record())
def test_a_digest_does_not_depend_on_how_a_record_was_written(record: CallRecord) -> None:
    given = digest_of_records("", [record])
    fields = flat_fields(record)
    turned = {name: dict(reversed(one.items())) if isinstance(one, dict) else one for name, one in fields.items()}

    assert digest_of_rows("", [turned], NEWEST_FORMAT) == given
    assert digest_of_rows("x", [fields], NEWEST_FORMAT) != given
    assert digest_of_rows("", [fields, fields], NEWEST_FORMAT) != given
    assert digest_of_rows("", [fields | {"call_id": record.call_id + "x"}], NEWEST_FORMAT) != given
    assert digest_of_rows("", [fields | {"cost": Decimal("1E-12") + (record.cost or 0)}], NEWEST_FORMAT) != given
