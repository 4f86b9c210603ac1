"""A slip of the finger is understood; a different word is not."""

import pytest

from tokenweir.errors import nearest

KNOWN = ["data", "admin", "admin_token", "max_body", "max_head", "key", "key_env"]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("datta", "data"),
        ("dta", "data"),
        ("dtaa", "data"),
        ("Data", "data"),
        ("max-body", "max_body"),
        ("maxhead", "max_head"),
        ("kye", "key"),
        ("keyenv", "key_env"),
        ("admn_tokn", "admin_token"),
    ],
)
def test_a_slip_is_understood(written: str, meant: str) -> None:
    assert nearest(written, KNOWN) == meant


@pytest.mark.parametrize("written", ["port", "a", "dt", "token", ""])
def test_another_word_is_not_guessed_at(written: str) -> None:
    assert nearest(written, KNOWN) is None


def test_nothing_is_near_where_nothing_is_known() -> None:
    assert nearest("data", []) is None
