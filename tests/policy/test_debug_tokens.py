"""Whoever holds a debug token may have calls traced: for one API, until it expires, and nobody else can make one."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, strategies as st

from tokenweir.policy import DebugTokens

SECRET = "a long random text of the gateway"
END = datetime(2026, 11, 24, 16, tzinfo=UTC)
BEFORE, AFTER = END - timedelta(seconds=1), END


def test_a_token_is_valid_until_it_expires() -> None:
    tokens = DebugTokens(SECRET, "openai")
    token = tokens.issue(END)
    assert token.startswith("aid=openai&p=tracing&ex=2026-11-24T16%3A00%3A00Z&sn=")
    for now, state in ((BEFORE, "valid"), (AFTER, "expired")):
        read = tokens.read(token, now)
        assert read is not None
        assert (read.api, read.expires, read.state) == ("openai", END, state)


def test_a_token_of_another_api_says_so_even_when_it_has_expired() -> None:
    token = DebugTokens(SECRET, "other&api=openai").issue(END)
    read = DebugTokens(SECRET, "openai").read(token, AFTER)
    assert read is not None
    assert (read.api, read.state) == ("other&api=openai", "wrong_api")


def test_a_token_signed_with_another_secret_is_none_of_ours() -> None:
    token = DebugTokens("somebody else's secret", "openai").issue(END)
    assert DebugTokens(SECRET, "openai").read(token, BEFORE) is None


@given(st.text() | st.text("&=snaidpex%0123456789TZ", min_size=1))
def test_nothing_that_was_not_issued_is_a_token(text: str) -> None:
    assert DebugTokens(SECRET, "openai").read(text, BEFORE) is None


@given(st.data())
def test_a_token_in_which_one_character_differs_is_none(data: st.DataObject) -> None:
    tokens = DebugTokens(SECRET, "openai")
    token = tokens.issue(END)
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters(exclude_categories=["Cs"]).filter(lambda character: character != token[place]))
    assert tokens.read(token[:place] + other + token[place + 1 :], BEFORE) is None


def test_neither_secret_nor_token_is_shown() -> None:
    tokens = DebugTokens(SECRET, "openai")
    assert SECRET not in repr(tokens)
    with pytest.raises(AttributeError):
        tokens.secret  # type: ignore[attr-defined]  # noqa: B018
