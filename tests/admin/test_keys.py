"""Keys made and revoked by the admin port, and where that is in force."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tokenweir.admin import keys as admin_keys
from tokenweir.journal import Trouble
from tokenweir.policy import digest_of, hash_key, read_keys


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin_keys, "_PATIENCE_SECONDS", 0.0)


def test_a_key_is_made_shown_once_and_revoked(gateway: Any) -> None:
    made = gateway.ask("/api/keys", "POST", json={"caller": "ada", "tags": {"team": "x"}})
    assert made.status_code == 201
    [stored] = read_keys(gateway.keys)
    assert stored.sha256 == hash_key(made.json()["key"])
    assert made.json()["stored"]["key_id"] == stored.key_id
    revoked = gateway.ask(f"/api/keys/{stored.key_id}/revoke", "POST", json={})
    assert revoked.status_code == 200
    assert read_keys(gateway.keys)[0].is_revoked
    listed = gateway.ask("/api/keys").json()
    assert listed["file"] == str(gateway.keys)
    assert [key["caller"] for key in listed["keys"]] == ["ada"]
    assert stored.sha256 not in gateway.ask("/api/keys").text


def test_what_is_said_to_be_in_force_is_what_each_relay_says(gateway: Any, make_relay: Any) -> None:
    gateway.ask("/api/keys", "POST", json={"caller": "ada"})
    digest = digest_of(Path(gateway.keys).read_bytes())
    trouble = Trouble(datetime(2026, 3, 10, 11, 59, tzinfo=UTC), "keys.json cannot be read: Permission denied")
    gateway.relays = [
        make_relay("relay-0", keys_digest=digest),
        make_relay("relay-1", keys_digest=digest - 1),
        make_relay("relay-2", keys_digest=0, troubles={"keys": trouble}),
        make_relay("relay-3", age=60.0),
    ]
    assert gateway.ask("/api/keys").json()["relays"] == [
        {"relay": "relay-0", "in_force": True, "reason": None},
        {"relay": "relay-1", "in_force": False, "reason": "it has not read the file's present state"},
        {"relay": "relay-2", "in_force": False, "reason": trouble.message},
    ]


@pytest.mark.parametrize("body", ["{}", '{"caller": " "}', '{"caller": "a", "colour": "red"}', "?"])
def test_a_wish_that_is_none_is_refused(gateway: Any, body: str) -> None:
    answer = gateway.ask("/api/keys", "POST", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert not gateway.keys.exists()


def test_an_unknown_key_cannot_be_revoked(gateway: Any) -> None:
    assert gateway.ask("/api/keys/key_0/revoke", "POST", json={}).status_code == 404


def test_a_relay_that_cannot_read_its_keys_is_not_ready(gateway: Any, make_relay: Any) -> None:
    trouble = Trouble(datetime(2026, 3, 10, 11, 59, tzinfo=UTC), "keys.json cannot be read")
    gateway.relays = [make_relay(troubles={"keys": trouble})]
    for path in ("/readyz", "/readyz?exclude=ledger"):
        answer = gateway.ask(path)
        assert answer.status_code == 503
        failed = {check["name"]: check["message"] for check in answer.json()["checks"] if not check["ok"]}
        assert failed == {"keys of relay-0": "since 11:59:00 UTC: keys.json cannot be read"}


def test_a_key_that_cannot_be_revoked_is_said_with_who_still_accepts_it(gateway: Any, make_relay: Any) -> None:
    gateway.keys.mkdir()  # as little a file that can be written as one on a read-only mount
    gateway.relays = [make_relay("relay-0", keys_digest=7), make_relay("relay-1", keys_digest=0)]
    answer = gateway.ask("/api/keys/key_1/revoke", "POST", json={})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "not_revoked")
    assert answer.json()["error"]["message"].endswith("; the key is still accepted by relay-0")


def test_a_key_is_rotated_suspended_and_resumed(gateway: Any) -> None:
    made = gateway.ask("/api/keys", "POST", json={"caller": "ada", "groups": ["gold"], "expires": "90d"}).json()
    key_id = made["stored"]["key_id"]
    assert (made["stored"]["groups"], made["stored"]["expires_at"]) == (["gold"], "2026-06-08T12:00:00Z")
    rotated = gateway.ask(f"/api/keys/{key_id}/rotate", "POST", json={"overlap": "1h"})
    assert rotated.status_code == 201
    new = rotated.json()["stored"]
    assert (new["replaces"], new["groups"], new["expires_at"]) == (key_id, ["gold"], None)
    assert rotated.json()["replaced"]["expires_at"] == "2026-03-10T13:00:00Z"
    assert [key.sha256 for key in read_keys(gateway.keys)] == [hash_key(made["key"]), hash_key(rotated.json()["key"])]
    suspended = gateway.ask(f"/api/keys/{new['key_id']}/suspend", "POST", json={})
    assert suspended.json()["stored"]["suspended_at"] == "2026-03-10T12:00:00Z"
    resumed = gateway.ask(f"/api/keys/{new['key_id']}/resume", "POST", json={})
    assert resumed.json()["stored"]["suspended_at"] is None
    for answer in (rotated, suspended, resumed):
        assert "sha256" not in answer.text


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/api/keys", {"caller": "a", "groups": ["silver"]}, 400, "no_key"),
        ("/api/keys", {"caller": "a", "expires": "yesterday"}, 400, "no_key"),
        ("/api/keys/key_0/rotate", {}, 404, "unknown_key"),
        ("/api/keys/key_0/suspend", {}, 404, "unknown_key"),
        ("/api/keys/key_0/rotate", {"overlap": "long"}, 400, "invalid_query"),
    ],
)
def test_what_cannot_be_done_to_keys_is_said(
    gateway: Any, path: str, body: dict[str, Any], status: int, code: str
) -> None:
    answer = gateway.ask(path, "POST", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_a_revoked_key_is_not_changed_any_more(gateway: Any) -> None:
    key_id = gateway.ask("/api/keys", "POST", json={"caller": "ada"}).json()["stored"]["key_id"]
    gateway.ask(f"/api/keys/{key_id}/revoke", "POST", json={})
    for verb in ("rotate", "suspend", "resume"):
        answer = gateway.ask(f"/api/keys/{key_id}/{verb}", "POST", json={})
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "not_valid")
