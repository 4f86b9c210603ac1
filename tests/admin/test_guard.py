"""Who may ask: the token's owner or, without a token, this machine alone."""

from typing import Any

import pytest

from tokenweir.admin import PATHS

CLOSED = [path for path in PATHS if path not in ("/healthz", "/readyz")]


@pytest.mark.parametrize("path", [*CLOSED, "/nowhere"])
@pytest.mark.parametrize(
    "given", [None, "Bearer wrong", "Bearer ", "Bearer sk-admin2", "sk-admin", "Basic sk-admin", "ß"]
)
def test_without_the_token_nothing_is_told(gateway: Any, path: str, given: str | None) -> None:
    gateway.token = "sk-admin"
    headers = {"Authorization": given.encode()} if given is not None else {}
    answer = gateway.ask(path, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["error"]["code"] == "unauthorized"
    assert "sk-admin" not in answer.text


@pytest.mark.parametrize("token", ["sk-admin", "schlüssel"])
def test_with_the_token_everything_is_told(gateway: Any, token: str) -> None:
    gateway.token = token
    headers = {"Authorization": f"Bearer {token}".encode(), "Host": "gateway.example"}
    assert gateway.ask("/api/calls", headers=headers).status_code == 200


def test_that_the_books_are_alive_is_told_to_anybody(gateway: Any) -> None:
    gateway.token = "sk-admin"
    answer = gateway.ask("/healthz", headers={"Host": "gateway.example"})
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize("token", ["sk-admin", None])
def test_whether_all_is_well_is_told_to_anybody_but_not_why(gateway: Any, make_relay: Any, token: str | None) -> None:
    gateway.token = token
    stranger = {"Host": "10.0.0.1:8081"}
    answer = gateway.ask("/readyz", headers=stranger)
    assert (answer.status_code, answer.json()) == (503, {"checks": []})
    gateway.relays = [make_relay()]
    answer = gateway.ask("/readyz", headers=stranger)
    assert (answer.status_code, answer.json()) == (200, {"checks": []})


@pytest.mark.parametrize("host", ["localhost", "localhost:8081", "127.0.0.1:8081", "127.1.2.3", "[::1]:8081", "[::1]"])
def test_without_a_token_this_machine_may_ask(gateway: Any, host: str) -> None:
    assert gateway.ask("/api/calls", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8081", "localhost.evil.example", "10.0.0.1:8081", "[::1", ""]
)
def test_without_a_token_a_page_on_the_web_may_not(gateway: Any, host: str) -> None:
    answer = gateway.ask("/api/calls", headers={"Host": host})
    assert answer.status_code == 421
    assert answer.json()["error"]["code"] == "not_local"
