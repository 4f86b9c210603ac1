"""Servers that cannot be used, users who may do too little, and servers that are away for a while."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from support.clickhouse import OWNER, READER, ClickHouseServer
from support.engines import ClickHouseEngine
from support.servers import closed_port
from tokenweir.errors import ConfigError
from tokenweir.ledger import Ledger, LedgerError, open_ledger
from tokenweir.records import CallRecord, SystemClock

MakeCall = Callable[..., CallRecord]


@pytest.mark.parametrize("scheme", ["clickhouse", "clickhouse+http"])
def test_a_server_that_does_not_answer_is_named_without_the_password(scheme: str) -> None:
    with pytest.raises(LedgerError) as failed:
        open_ledger(f"{scheme}://ada:hunter2@127.0.0.1:{closed_port()}/books")
    assert "127.0.0.1" in str(failed.value)
    assert "Connection refused" in str(failed.value)
    assert "hunter2" not in str(failed.value)


def test_a_wrong_password_is_said_to_be_wrong(engine: ClickHouseEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLICKHOUSE_PASSWORD", "hunter2")
    without = engine.url.replace(f":{engine.server.password}@", "@")
    with pytest.raises(LedgerError, match="cannot be opened: tokenweir: Authentication failed") as failed:
        open_ledger(without)
    assert "hunter2" not in str(failed.value)
    monkeypatch.setenv("CLICKHOUSE_PASSWORD", engine.server.password)
    open_ledger(without).close()


def test_a_database_that_does_not_exist_is_named(own_server: ClickHouseServer) -> None:
    with pytest.raises(LedgerError, match="Database ledger_nowhere does not exist"):
        open_ledger(own_server.url("ledger_nowhere"))


def test_what_the_guide_grants_is_enough_and_less_is_not(own_server: ClickHouseServer, make_call: MakeCall) -> None:
    engine = ClickHouseEngine(own_server)
    own_server.stop()
    own_server.start(grants=READER)
    with pytest.raises(ConfigError, match=r"Not enough privileges.*CREATE TABLE.*; its user needs CREATE TABLE"):
        engine.open()
    own_server.stop()
    own_server.start(grants=OWNER)
    ledger = engine.open()
    assert ledger.post([make_call(caller="ada", request_body="{}")], "relay-1", "1") == 1
    assert ledger.query_kql("customEvents | count").rows == [[1]]
    for migration in engine.migrations:
        with engine.connect() as connection:
            migration(connection)  # as the next version may, to add a column
    ledger.close()


def test_a_user_who_may_only_read_can_open_what_is_there(own_server: ClickHouseServer, make_call: MakeCall) -> None:
    engine = ClickHouseEngine(own_server)
    owner = engine.open()
    owner.post([make_call(caller="ada", request_body="{}")], "relay-1", "1")
    owner.close()
    own_server.stop()
    own_server.start(grants=READER)
    reader = engine.open()
    assert [call["caller"] for call in reader.calls()] == ["ada"]
    assert reader.query_sql("SELECT caller FROM calls").rows == [["ada"]]
    assert reader.query_kql("calls | project caller").rows == [["ada"]]
    with pytest.raises(LedgerError, match="Not enough privileges"):
        reader.post([make_call()], "relay-1", "2")
    reader.close()


def test_a_user_whose_settings_are_fixed_is_refused(own_server: ClickHouseServer) -> None:
    engine = ClickHouseEngine(own_server)
    own_server.stop()
    own_server.start(profile="<readonly>2</readonly>")
    with pytest.raises(ConfigError, match="GRANT SELECT instead"):
        engine.open()


def test_many_may_open_an_empty_database_at_once(engine: ClickHouseEngine) -> None:
    opened: list[Ledger] = []
    threads = [threading.Thread(target=lambda: opened.append(engine.open())) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 6
    found = opened[0].query_sql("SELECT DISTINCT number FROM migrations ORDER BY number").rows
    assert found == [[number] for number in range(1, len(engine.migrations) + 1)]
    assert [ledger.usage([]) for ledger in opened] == [[]] * 6
    for ledger in opened:
        ledger.close()


def test_a_server_that_is_away_fails_in_words_loses_nothing_and_is_found_again(
    own_server: ClickHouseServer, make_call: MakeCall
) -> None:
    engine = ClickHouseEngine(own_server)
    ledger = engine.open()
    ledger.post([make_call()], "relay-1", "1")
    call, port = make_call(), own_server.port
    own_server.stop()
    with pytest.raises(LedgerError, match="the ledger .* failed: .*Connection refused"):
        ledger.post([call], "relay-1", "2")
    with pytest.raises(LedgerError, match="the ledger .* cannot be opened: .*Connection refused"):
        ledger.query_sql("SELECT 1")  # by a process of its own
    with pytest.raises(LedgerError, match="the ledger .* cannot be opened: .*Connection refused"):
        ledger.query_kql("calls | count")
    own_server.start(port=port)
    assert ledger.position("relay-1") == "1"
    assert ledger.post([call], "relay-1", "2") == 1
    ledger.close()


def test_what_was_posted_is_not_quoted_in_an_error(ledger: Ledger, engine: ClickHouseEngine) -> None:
    with engine.connect() as connection:
        connection.execute("DROP TABLE posted_contents")
        connection.execute(
            "CREATE TABLE posted_contents (call_id String, request_body Int8, response_body Nullable(String)) "
            "ENGINE = ReplacingMergeTree ORDER BY call_id"
        )
    call = CallRecord(call_id="1", started_at=SystemClock().now(), request_body="my secret prompt")
    with pytest.raises(LedgerError) as failed:
        ledger.post([call], "relay-1", "1")
    assert "CANNOT_PARSE" in str(failed.value)
    assert "secret" not in str(failed.value)
    assert failed.value.__cause__ is None


def test_the_way_to_a_server_is_encrypted_and_its_certificate_is_checked(
    tmp_path: Path, own_server: ClickHouseServer, make_call: MakeCall
) -> None:
    database = own_server.new_database()
    own_server.stop()
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    own_server.start(certificate=tmp_path / "server.pem")
    url = own_server.url(database)
    with pytest.raises(LedgerError, match="certificate verify failed"):
        open_ledger(url)
    ledger = open_ledger(f"{url}?ca_cert={tmp_path}/ca.pem")
    assert ledger.post([make_call()], "relay-1", "1") == 1
    ledger.close()


def test_a_certificate_authority_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ledger\.url: the ca_cert .*nothing\.pem cannot be read"):
        open_ledger(f"clickhouse://ada@127.0.0.1:{closed_port()}/db?ca_cert={tmp_path}/nothing.pem")
