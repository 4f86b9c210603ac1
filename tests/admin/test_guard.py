"""Who may ask: the token's owner or, without a token, this machine alone."""

from typing import Any

import pytest

from tokenweir.admin import PATHS
from tokenweir.ledger import TooManyQueries

CLOSED = [path for path in PATHS if path not in ("/healthz", "/readyz") and not path.startswith("/tokenweir/")]


@pytest.mark.parametrize(
    "given", [None, "Bearer wrong", "Bearer ", "Bearer sk-admin2", "sk-admin", "Basic sk-admin", "ß"]
)
def test_without_the_token_nothing_is_told(gateway: Any, given: str | None) -> None:
    gateway.token = "sk-admin"
    headers = {"Authorization": given.encode()} if given is not None else {}
    for path in [*CLOSED, "/nowhere"]:
        answer = gateway.ask(path, headers=headers)
        assert answer.status_code == 401, path
        assert answer.headers["www-authenticate"] == "Bearer", path
        assert answer.json()["error"]["code"] == "unauthorized", path
        assert "sk-admin" not in answer.text, path


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


QUERY = {"method": "POST", "content": b'{"sql": "SELECT 1 AS x"}'}
AS_JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("token", ["sk-admin", None])
@pytest.mark.parametrize(
    "lines",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "http://localhost"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
        {"Sec-Fetch-Site": "none", "Origin": "https://evil.example"},
    ],
)
def test_a_page_of_another_site_may_not_send_anything(gateway: Any, token: str | None, lines: dict[str, str]) -> None:
    gateway.token = token
    headers = {**AS_JSON, **lines, "Authorization": "Bearer sk-admin"}
    answer = gateway.ask("/api/query", headers=headers, **QUERY)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "cross_site")


@pytest.mark.parametrize(
    "lines",
    [
        {},
        {"Origin": "http://localhost:8081"},
        {"Origin": "http://LOCALHOST:8081", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        {"Content-Type": "application/json; charset=utf-8"},
        {"Content-Type": "Application/JSON"},
    ],
)
def test_programs_and_pages_of_our_own_may(gateway: Any, lines: dict[str, str]) -> None:
    answer = gateway.ask("/api/query", headers={**AS_JSON, **lines}, **QUERY)
    assert (answer.status_code, answer.json()["rows"]) == (200, [[1]])


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_what_is_sent_has_to_be_json(gateway: Any, kind: str | None) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    answer = gateway.ask("/api/query", headers=headers, **QUERY)
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported_media_type")


def test_a_link_on_a_page_of_another_site_may_be_followed_and_its_scripts_may_not_read(gateway: Any) -> None:
    foreign = {"Sec-Fetch-Site": "cross-site"}
    assert gateway.ask("/api/usage", headers={**foreign, "Sec-Fetch-Mode": "navigate"}).status_code == 200
    assert gateway.ask("/api/usage", headers={**foreign, "Sec-Fetch-Mode": "no-cors"}).status_code == 403


def test_queries_beyond_a_short_queue_are_told_when_to_ask_again(gateway: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(text: str) -> None:
        raise TooManyQueries

    monkeypatch.setattr(gateway.ledger, "query_sql", busy)
    answer = gateway.ask("/api/query", headers=AS_JSON, **QUERY)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "5")
    assert answer.json()["error"]["code"] == "too_many_queries"
