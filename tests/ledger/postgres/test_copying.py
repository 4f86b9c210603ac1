"""KQL over PostgreSQL looks at copies, and says so when there would be too many."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest

from support.engines import PostgresEngine
from tokenweir.errors import QueryError
from tokenweir.ledger.kql import KqlOverCopies
from tokenweir.ledger.limits import Limits
from tokenweir.ledger.postgres.copying import copy_calls
from tokenweir.ledger.postgres.server import PostgresDatabase
from tokenweir.ledger.queries import first_rows
from tokenweir.records import CallRecord, SystemClock

MakeCall = Callable[..., CallRecord]


def test_what_is_asked_about_less_time_fits_again(engine: PostgresEngine, make_call: MakeCall) -> None:
    now = SystemClock().now()
    ledger = engine.open()
    ledger.post([make_call(started_at=now - timedelta(days=day)) for day in range(10)], "relay-1", "10")
    ledger.close()

    server = PostgresDatabase(engine.url)
    visits = KqlOverCopies(partial(copy_calls, server), Limits(), most_calls=5)
    with pytest.raises(QueryError, match="more than 5 calls"):
        first_rows(visits.kql("calls | count"), Limits())
    assert first_rows(visits.kql("calls | where started_at > ago(4d) | count"), Limits()).rows == [[4]]
    assert first_rows(
        visits.kql("calls | where started_at < ago(4d) and started_at > ago(9d) | count"), Limits()
    ).rows == [[5]]
    server.close()


def test_copying_that_takes_too_long_is_stopped(engine: PostgresEngine, make_call: MakeCall) -> None:
    ledger = engine.open(Limits(seconds=0.2))
    with engine.connect() as connection:
        connection.execute("BEGIN")
        connection.execute("LOCK TABLE calls")
        with pytest.raises(QueryError, match="longer than 0.2 s"):
            ledger.query_kql("calls | count")
    assert ledger.query_kql("calls | count").rows == [[0]]
    ledger.close()


@pytest.mark.parametrize("text", ["", "a,b", 'say "x"', "two\nlines", "\\N", "\\.", "\r\n", "ä€😀", "NULL", "\t"])
def test_texts_survive_being_copied(engine: PostgresEngine, make_call: MakeCall, text: str) -> None:
    ledger = engine.open()
    ledger.post([make_call(subject=text, tags={"t": text}), make_call()], "relay-1", "2")
    rows = ledger.query_kql("calls | order by started_at asc | project subject, tags.t, isnull(subject)").rows
    assert rows == [[text, text, False], ["", None, False]]
    ledger.close()
