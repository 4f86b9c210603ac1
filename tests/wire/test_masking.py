"""What is shown of headers: values of names that are known to tell, and of no other."""

import pytest
from hypothesis import given, strategies as st

from tokenweir.wire import MASK, is_telling, masked


@pytest.mark.parametrize(
    "name",
    [
        "api-key",
        "Authorization",
        "Ocp-Apim-Subscription-Key",
        "apim-debug-authorization",
        "Cookie",
        "set-cookie",
        "proxy-authorization",
        "x-api-key",
        "x-ms-token-aad-access-token",
        "x-functions-key",
        "openai-organization",
        "www-authenticate",
        "location",
        "referer",
        "x-forwarded-for",
        "",
    ],
)
def test_what_may_hold_a_secret_or_a_person_is_masked(name: str) -> None:
    assert masked([f"{name}: c4nary".encode()]) == [(name, MASK)]


@pytest.mark.parametrize("name", ["X-MS-Region", "x-ratelimit-remaining-tokens", "Retry-After", "X-Stainless-Lang"])
def test_what_tells_something_is_shown_whatever_its_case(name: str) -> None:
    assert masked([f"{name}:  Sweden Central ".encode()]) == [(name, "Sweden Central")]


def test_names_and_order_are_kept_also_of_names_that_come_twice() -> None:
    lines = [b"x-ms-region: a", b"x-secret: b", b"x-ms-region: c"]
    assert masked(lines) == [("x-ms-region", "a"), ("x-secret", MASK), ("x-ms-region", "c")]


@given(st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1))
def test_a_name_that_nobody_knows_is_masked(name: str) -> None:
    assert masked([f"unknown-{name}: c4nary".encode()]) == [(f"unknown-{name}", MASK)]
    assert not is_telling(f"unknown-{name}")
