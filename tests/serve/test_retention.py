"""Contents, traces and dead letters go when they have been kept for their term, and not before."""

from datetime import timedelta
from pathlib import Path

from support.clocks import JumpingClock
from support.journals import NOW
from tokenweir.config import Config
from tokenweir.delivery import Rejected
from tokenweir.delivery.dead_letters import DeadEvents
from tokenweir.delivery.shipping import letters_of
from tokenweir.delivery.sinks import FileConnection, JsonEvent, SinkSettings
from tokenweir.ledger import open_ledger
from tokenweir.ledger.settings import RetentionSettings
from tokenweir.records import CallRecord, Duration
from tokenweir.serve.retention import Retention

DAY = 86_400.0


def test_each_goes_after_its_term(tmp_path: Path) -> None:
    clock = JumpingClock(NOW)
    sink = SinkSettings(
        name="hub",
        kind="file",
        connection=FileConnection(path=str(tmp_path / "events.jsonl")),
        dead_letters=str(tmp_path / "dead.jsonl"),
    )
    terms = RetentionSettings(content=Duration(2 * DAY), dead_letters=Duration(3 * DAY))
    config = Config(sinks=[sink], retention=terms)
    letters = DeadEvents(letters_of(sink, clock), "hub", clock)
    ledger = open_ledger(f"duckdb:{tmp_path / 'ledger.duckdb'}")
    for day in range(4):
        at = NOW + timedelta(days=day)
        ledger.post([CallRecord(call_id=f"call-{day}", started_at=at, request_body="hello")], "relay", None)
        letters.bury(Rejected("too large", [JsonEvent(body=b"{}", call_id=f"call-{day}", properties={})]))
        clock.jump(DAY)
    retention = Retention(lambda: config, ledger, clock)

    def kept() -> tuple[list[int], int]:
        found = [ledger.call(f"call-{day}") for day in range(4)]
        bodies = [day for day, one in enumerate(found) if one and one["request_body"]]
        return bodies, len(list(letters.store.waiting()))

    retention.tidy()
    assert kept() == ([2, 3], 3)
    retention.tidy()
    clock.jump(DAY)
    retention.tidy()
    assert kept() == ([3], 2)
    clock.jump(DAY * 30)
    retention.tidy()
    assert kept() == ([], 0)
    assert sum(row["calls"] for row in ledger.usage([])) == 4
    ledger.close()


def test_without_terms_everything_is_kept(tmp_path: Path) -> None:
    clock = JumpingClock(NOW)
    ledger = open_ledger(f"duckdb:{tmp_path / 'ledger.duckdb'}")
    ledger.post([CallRecord(call_id="call", started_at=NOW, request_body="hello")], "relay", None)
    clock.jump(DAY * 1000)
    Retention(Config, ledger, clock).tidy()
    found = ledger.call("call")
    assert found is not None
    assert found["request_body"] == "hello"
    ledger.close()
