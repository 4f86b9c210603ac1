"""Each dialect has its address and its header for the key, and a target never shows its key."""

from typing import Any

import pytest

from tokenweir.stopwatch import StreamTarget, kind_of
from tokenweir.upstream import Endpoint

KEY = "tw-0123456789-secret"


def target(url: str, **members: Any) -> StreamTarget:
    endpoint = Endpoint.parse(url)
    usual = {"kind": kind_of(endpoint), "api": "chat", "deployment": "gpt-4o", "api_version": "2024-10-21", "key": KEY}
    return StreamTarget(name="x", endpoint=endpoint, **{**usual, **members})


@pytest.mark.parametrize(
    ("url", "api", "called"),
    [
        ("https://r.openai.azure.com", "chat", "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"),
        (
            "https://r.openai.azure.com/openai/",
            "chat",
            "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21",
        ),
        (
            "https://x.azure-api.net/team",
            "completions",
            "/team/openai/deployments/gpt-4o/completions?api-version=2024-10-21",
        ),
        ("http://127.0.0.1:8080", "responses", "/openai/responses?api-version=2024-10-21"),
        ("https://r.openai.azure.com/openai/v1/", "chat", "/openai/v1/chat/completions"),
        ("https://api.openai.com/v1", "responses", "/v1/responses"),
    ],
)
def test_addresses(url: str, api: str, called: str) -> None:
    made = target(url, api=api)
    assert made.request_target == called
    assert made.url.endswith(called)


def test_the_key_goes_where_the_dialect_or_the_person_says() -> None:
    azure, openai = "https://r.openai.azure.com", "https://api.openai.com/v1"
    assert target(azure).key_line == ("api-key", KEY)
    assert target(openai).key_line == ("authorization", f"Bearer {KEY}")
    assert target(azure, key_header="Authorization").key_line == ("authorization", f"Bearer {KEY}")
    assert target(azure, key_header="Ocp-Apim-Subscription-Key").key_line == ("Ocp-Apim-Subscription-Key", KEY)
    assert target(azure, key=None).key_line is None


def test_neither_the_repr_nor_the_url_shows_the_key() -> None:
    made = target("https://r.openai.azure.com", headers=(("x-token", "another-secret"),))
    assert KEY not in repr(made) + made.url
    assert "another-secret" not in repr(made)
    assert made.secrets == ("another-secret", KEY)


def test_a_body_asks_for_a_stream_and_its_usage_unless_told_otherwise() -> None:
    url = "https://r.openai.azure.com"
    assert target(url).body("Hi") == {
        "model": "gpt-4o",
        "stream": True,
        "messages": [{"role": "user", "content": "Hi"}],
        "stream_options": {"include_usage": True},
    }
    assert target(url, api="responses").body("Hi") == {"model": "gpt-4o", "stream": True, "input": "Hi"}
    bare = target(url, api="completions", members={"stream_options": None, "max_tokens": 5}).body("Hi")
    assert bare == {"model": "gpt-4o", "stream": True, "prompt": "Hi", "max_tokens": 5}
