"""Ready, or not ready and why."""

from datetime import UTC, datetime
from typing import Any

from tokenweir.admin import LedgerStatus
from tokenweir.delivery import SinkStatus
from tokenweir.errors import TokenweirError
from tokenweir.records import TargetStatus


def failing(gateway: Any) -> dict[str, str]:
    """The checks that failed, with their reasons. None failed if and only if the answer is 200."""
    answer = gateway.ask("/readyz")
    failed = {check["name"]: check["message"] for check in answer.json()["checks"] if not check["ok"]}
    assert answer.status_code == (503 if failed else 200)
    return failed


def test_a_gateway_that_is_well_is_ready(gateway: Any, make_relay: Any) -> None:
    gateway.relays = [make_relay(lag_bytes=0)]
    assert failing(gateway) == {}
    names = [check["name"] for check in gateway.ask("/readyz").json()["checks"]]
    assert names == ["relays", "journal of relay-0", "ledger"]


def test_before_the_first_relay_has_spoken_it_is_not(gateway: Any) -> None:
    assert failing(gateway) == {"relays": "0 of 1 have said within seconds that they are well"}


def test_a_relay_that_fell_silent_is_named(gateway: Any, make_relay: Any) -> None:
    gateway.expected_relays = 3
    gateway.relays = [make_relay(), make_relay("relay-1", age=42.4), make_relay("relay-2", age=None)]
    reason = failing(gateway)["relays"]
    assert reason.startswith("1 of 3 have said")
    assert "relay-1 did 42 s ago; relay-2 never did" in reason


def test_a_relay_of_former_times_is_not_waited_for(gateway: Any, make_relay: Any) -> None:
    gateway.relays = [make_relay(), make_relay("relay-1", age=86400.0)]
    assert failing(gateway) == {}


def test_a_journal_whose_disk_takes_nothing(gateway: Any, make_relay: Any) -> None:
    since = datetime(2026, 3, 10, 11, 59, tzinfo=UTC)
    gateway.relays = [make_relay(failing_since=since, last_error="No space left on device")]
    assert failing(gateway) == {
        "journal of relay-0": "its disk takes nothing since 11:59:00 UTC: No space left on device"
    }


def test_targets_are_told_and_a_gateway_is_ready_without_them(gateway: Any, make_relay: Any) -> None:
    sweden = TargetStatus("gpt", "sweden", "gpt-ptu", 1, 1.0, "open", "429", 6.54)
    others = [
        TargetStatus("gpt", "france", "gpt", 2, 1.0, "closed"),
        TargetStatus("gpt", "japan", "gpt", 2, 0.0, "closed"),
    ]
    gateway.relays = [make_relay(targets=[sweden, *others])]
    assert failing(gateway) == {}
    told = {check["name"]: check["message"] for check in gateway.ask("/readyz").json()["checks"]}
    assert told["targets of gpt in relay-0"] == (
        "sweden/gpt-ptu is left alone after 429 (tried again in 6.5 s); france takes calls; japan is drained"
    )
    (of_relay,) = gateway.ask("/api/targets").json()
    assert (of_relay["relay"], of_relay["fresh"]) == ("relay-0", True)
    assert [one["breaker"] for one in of_relay["targets"]] == ["open", "closed", "closed"]


def test_a_ledger_that_is_behind(gateway: Any, make_relay: Any) -> None:
    gateway.relays = [make_relay(lag_bytes=300 * 1024**2)]
    assert failing(gateway) == {"ledger": "is behind; not posted yet: 300 MB of relay-0"}


def test_a_ledger_that_takes_nothing(gateway: Any, make_relay: Any) -> None:
    def fail() -> None:
        raise TokenweirError("the ledger failed: No space left on device")

    gateway.relays = [make_relay()]
    gateway.catch_up = fail
    assert failing(gateway) == {"ledger": "the ledger failed: No space left on device"}


def test_a_gateway_without_a_ledger_is_ready_when_the_rest_is(gateway: Any, make_relay: Any) -> None:
    gateway.has_ledger = False
    gateway.relays = [make_relay(lag_bytes=0)]
    assert failing(gateway) == {}
    assert gateway.ask("/readyz").json()["checks"][-1] == {
        "name": "ledger",
        "ok": True,
        "message": "none is kept here; records go to the sinks",
    }
    gateway.relays = []
    assert list(failing(gateway)) == ["relays"]


def test_what_takes_calls_is_ready_while_the_ledger_is_away(gateway: Any, make_relay: Any) -> None:
    def fail() -> None:
        raise TokenweirError("the ledger failed: connection refused")

    gateway.catch_up = fail
    gateway.relays = [make_relay(lag_bytes=300 * 1024**2)]
    answer = gateway.ask("/readyz?exclude=ledger")
    assert answer.status_code == 200
    assert [check["name"] for check in answer.json()["checks"]] == ["relays", "journal of relay-0"]
    gateway.relays = []
    assert gateway.ask("/readyz?exclude=ledger").status_code == 503


def test_only_the_ledger_can_be_left_out(gateway: Any) -> None:
    answer = gateway.ask("/readyz?exclude=relays")
    assert answer.status_code == 400
    assert "exclude must be `ledger`" in answer.json()["error"]["message"]


def test_since_when_the_ledger_takes_nothing_is_told(gateway: Any, make_relay: Any) -> None:
    def fail() -> None:
        raise TokenweirError("the ledger failed: connection refused")

    gateway.relays = [make_relay()]
    gateway.catch_up = fail
    gateway.ledger_status = LedgerStatus(datetime(2026, 3, 10, 11, 59, tzinfo=UTC), 3)
    assert failing(gateway) == {"ledger": "since 11:59:00 UTC: the ledger failed: connection refused"}


def test_the_only_place_where_records_go_has_to_take_them(gateway: Any, make_relay: Any) -> None:
    since = datetime(2026, 3, 10, 11, 59, tzinfo=UTC)
    failed = SinkStatus(name="hub", kind="kafka", failing_since=since, last_error="no broker")
    gateway.relays, gateway.sinks = [make_relay()], [failed]
    assert failing(gateway) == {}
    (told,) = [check for check in gateway.ask("/readyz").json()["checks"] if check["name"] == "sink hub"]
    assert told["message"] == "fails since 11:59:00 UTC, its records wait in the journal: no broker"
    gateway.has_ledger = False
    assert list(failing(gateway)) == ["sink hub"]
    assert gateway.ask("/readyz?exclude=ledger").status_code == 200
    gateway.sinks = [failed, SinkStatus(name="file", kind="file")]
    assert failing(gateway) == {}
