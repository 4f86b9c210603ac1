"""Whom a token of Entra names; whatever comes as one never fails."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from tokenweir.policy import token_identity


def token(claims: Any) -> bytes:
    parts = [{"alg": "RS256", "typ": "JWT"}, claims]
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts]
    return b".".join([*encoded, b"c2lnbmF0dXJl"])


def named(claims: Any) -> tuple[str | None, str | None] | None:
    found = token_identity(token(claims))
    return None if found is None else (found.application, found.user)


def test_an_application_for_a_person_and_one_for_itself() -> None:
    assert named({"ver": "2.0", "azp": "app", "oid": "person", "scp": "a b"}) == ("app", "person")
    assert named({"ver": "1.0", "appid": "app", "oid": "service-principal", "idtyp": "app"}) == ("app", None)
    assert named({"azp": "ä" * 66 + "?>~"}) == ("ä" * 66 + "?>~", None)


@pytest.mark.parametrize(
    "given", [b"", b"key", b"eyJ", b"eyJ.e.J", b"eyJhIjoxfQ.eyJhIjo.x", token({}), token([]), token({"azp": "x" * 201})]
)
def test_what_is_no_token_names_nobody(given: bytes) -> None:
    assert token_identity(given) is None


@given(st.binary(), st.none() | st.text() | st.integers() | st.lists(st.text()))
def test_whatever_comes_is_looked_at_in_peace(tail: bytes, claims: Any) -> None:
    token_identity(b"eyJ" + tail)
    token_identity(b"eyJ." + tail + b".x")
    named({"azp": claims, "oid": claims, "scp": claims})
