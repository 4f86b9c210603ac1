"""Databases that cannot be used, and databases that are away for a while."""

import threading
from collections.abc import Callable, Iterator

import psycopg
import pytest

from support.engines import PostgresEngine
from support.postgres import PostgresServer, running_postgres
from support.servers import closed_port
from tokenweir.errors import ConfigError
from tokenweir.ledger import Ledger, LedgerError, open_ledger
from tokenweir.records import CallRecord

MakeCall = Callable[..., CallRecord]


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """One that may be stopped."""
    with running_postgres() as server:
        yield server


def test_a_server_that_does_not_answer_is_named_without_the_password() -> None:
    with pytest.raises(LedgerError) as failed:
        open_ledger(f"postgresql://ada:hunter2@127.0.0.1:{closed_port()}/books")
    assert "127.0.0.1" in str(failed.value)
    assert "hunter2" not in str(failed.value)


def test_a_database_that_does_not_exist_is_named(engine: PostgresEngine) -> None:
    with pytest.raises(LedgerError, match='database "nowhere" does not exist'):
        open_ledger(engine.url.replace("/postgres?", "/nowhere?"))


def test_a_user_who_may_create_nothing_is_told_what_is_needed(engine: PostgresEngine) -> None:
    with psycopg.connect(engine.server.admin_url, autocommit=True) as admin:
        admin.execute("CREATE SCHEMA locked")
        admin.execute("GRANT USAGE ON SCHEMA locked TO tokenweir")
    with pytest.raises(ConfigError, match="permission denied for schema locked; its user needs CREATE"):
        open_ledger(engine.server.url("tokenweir", "locked"))


def test_a_user_who_may_only_read_can_open_what_is_there(engine: PostgresEngine, make_call: MakeCall) -> None:
    owner = engine.open()
    owner.post([make_call(caller="ada")], "relay-1", "1")
    schema = engine.url.rpartition("%3D")[2]
    with engine.connect() as connection:
        connection.execute(f"GRANT USAGE ON SCHEMA {schema} TO reader")
        connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO reader")
    reader = open_ledger(engine.server.url("reader", schema))
    assert [call["caller"] for call in reader.calls()] == ["ada"]
    assert reader.query_sql("SELECT caller FROM calls").rows == [["ada"]]
    with pytest.raises(LedgerError, match="permission denied"):
        reader.post([make_call()], "relay-1", "2")
    reader.close()
    owner.close()


def test_many_may_open_an_empty_database_at_once(engine: PostgresEngine) -> None:
    opened: list[Ledger] = []
    threads = [threading.Thread(target=lambda: opened.append(engine.open())) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 6
    assert opened[0].query_sql("SELECT count(*) FROM migrations").rows == [[len(engine.migrations)]]
    for ledger in opened:
        ledger.close()


def test_a_server_that_was_restarted_is_found_again(own_server: PostgresServer, make_call: MakeCall) -> None:
    ledger = open_ledger(own_server.new_url())
    ledger.post([make_call()], "relay-1", "1")
    own_server.stop()
    own_server.start()
    assert ledger.position("relay-1") == "1"
    assert ledger.post([make_call()], "relay-1", "2") == 1
    ledger.close()


def test_a_server_that_is_away_fails_in_words_and_loses_nothing(
    own_server: PostgresServer, make_call: MakeCall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tokenweir.ledger.postgres.server._CONNECT_SECONDS", 1)
    ledger = open_ledger(own_server.new_url())
    call = make_call()
    own_server.stop()
    with pytest.raises(LedgerError, match="the ledger .* failed"):
        ledger.post([call], "relay-1", "1")
    with pytest.raises(LedgerError, match="cannot be reached"):
        ledger.query_sql("SELECT 1")
    own_server.start()
    assert ledger.post([call], "relay-1", "1") == 1
    ledger.close()


def test_what_was_posted_is_not_quoted_in_an_error(ledger: Ledger, engine: PostgresEngine, make_call: MakeCall) -> None:
    with engine.connect() as connection:
        connection.execute("ALTER TABLE contents ADD CHECK (request_body <> 'my secret prompt')")
    with pytest.raises(LedgerError) as failed:
        ledger.post([make_call(request_body="my secret prompt")], "relay-1", "1")
    assert "violates check constraint" in str(failed.value)
    assert "secret" not in str(failed.value)
    assert failed.value.__cause__ is None
