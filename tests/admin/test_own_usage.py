"""What a caller is told who asks with its own key, and what nobody is told about somebody else."""

import pytest

from .conftest import Gateway

KEY = {"api-key": "key-of-ada"}


@pytest.fixture(autouse=True)
def token(gateway: Gateway) -> None:
    """An admin port as it is reached from elsewhere."""
    gateway.token = "sk-admin"


def test_a_caller_is_told_what_it_has_used_this_month(gateway: Gateway) -> None:
    answer = gateway.ask("/tokenweir/usage", headers=KEY)

    assert answer.status_code == 200
    told = answer.json()
    assert (told["caller"], told["as_of"], told["since"]) == ("ada", "2026-03-10T12:00:00Z", "2026-03-01T00:00:00Z")
    [row] = told["rows"]
    assert (row["calls"], row["total_tokens"], row["cost"], row["currency"]) == (2, 20, "0.02", "EUR")


def test_the_key_may_be_a_bearer_token_as_sdks_send_it(gateway: Gateway) -> None:
    answer = gateway.ask("/tokenweir/usage?by=day,deployment", headers={"Authorization": "Bearer key-of-ada"})

    assert answer.json()["rows"][0]["deployment"] == "gpt-4o"


@pytest.mark.parametrize("headers", [{}, {"api-key": "key-of-eve"}, {"Authorization": "Bearer sk-admin"}])
def test_without_a_key_of_a_caller_nothing_is_told(gateway: Gateway, headers: dict[str, str]) -> None:
    for path in ("/tokenweir/usage", "/tokenweir/calls/call-2"):
        answer = gateway.ask(path, headers=headers)
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "invalid_api_key"


@pytest.mark.parametrize("query", ["by=caller", "by=backend", "caller=bob", "by=tag:cost_centre", "since=soon"])
def test_what_would_tell_of_others_cannot_be_asked(gateway: Gateway, query: str) -> None:
    assert gateway.ask(f"/tokenweir/usage?{query}", headers=KEY).status_code == 400


def test_a_call_of_its_own_shows_what_it_cost_and_nothing_of_how_it_was_served(gateway: Gateway) -> None:
    told = gateway.ask("/tokenweir/calls/call-2", headers=KEY).json()

    assert (told["call_id"], told["total_tokens"], told["cost"]) == ("call-2", 20, "0.02")
    assert not {"backend", "client_address", "request_body", "caller"} & told.keys()


@pytest.mark.parametrize("call_id", ["call-1", "nosuch"])
def test_a_call_of_another_looks_like_none(gateway: Gateway, call_id: str) -> None:
    answer = gateway.ask(f"/tokenweir/calls/{call_id}", headers=KEY)

    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "unknown_call"


def test_a_callers_key_opens_nothing_else(gateway: Gateway) -> None:
    for path in ("/api/usage", "/api/calls", "/metrics", "/tokenweir/../api/usage"):
        assert gateway.ask(path, headers={"Authorization": "Bearer key-of-ada"}).status_code == 401


def test_a_page_of_another_site_is_refused(gateway: Gateway) -> None:
    headers = KEY | {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}

    assert gateway.ask("/tokenweir/usage", headers=headers).status_code == 403
