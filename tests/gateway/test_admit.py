"""A caller is known by the key in any of its places; nothing is let through that could not be accounted for."""

import pytest

from support.asked import asked
from tokenweir.errors import InvalidApiKey, JournalUnavailable, ShuttingDown
from tokenweir.gateway.admit import admit, identify
from tokenweir.policy import ANONYMOUS, CallerSettings, Keyring, hash_key

KEYRING = Keyring([CallerSettings(name, hash_key(f"{name}-key")) for name in ("one", "two", "three", "four")], [])
MODELS = "GET /v1/models"


@pytest.mark.parametrize(
    "lines",
    [
        ["api-key: one-key"],
        ["API-Key:one-key "],
        ["Ocp-Apim-Subscription-Key: one-key"],
        ["Authorization: Bearer one-key"],
        ["authorization: bearer  one-key"],
    ],
)
def test_a_key_is_found_in_each_of_its_headers(lines: list[str]) -> None:
    admission = identify(asked(MODELS, *lines), KEYRING)
    assert admission.identity.caller == "one"
    assert admission.key == b"one-key"


@pytest.mark.parametrize("query", ["subscription-key=one-key", "a=1&subscription-key=one%2Dkey&b=2"])
def test_a_key_is_found_in_the_query(query: str) -> None:
    assert identify(asked(f"{MODELS}?{query}"), KEYRING).identity.caller == "one"


def test_of_several_places_the_most_explicit_counts() -> None:
    lines = ["Authorization: Bearer three-key", "Ocp-Apim-Subscription-Key: two-key", "api-key: one-key"]
    target = f"{MODELS}?subscription-key=four-key"
    callers = [identify(asked(target, *lines[:count]), KEYRING).identity.caller for count in (3, 2, 1, 0)]
    assert callers == ["one", "two", "three", "four"]


def test_an_empty_header_is_no_key() -> None:
    assert identify(asked(MODELS, "api-key:", "Authorization: Bearer two-key"), KEYRING).identity.caller == "two"


@pytest.mark.parametrize(
    "lines", [[], ["api-key: wrong"], ["Authorization: Basic  one-key"], ["Authorization: one-key"], ["x-key: one-key"]]
)
def test_without_a_known_key_the_call_ends(lines: list[str]) -> None:
    with pytest.raises(InvalidApiKey):
        identify(asked(MODELS, *lines), KEYRING)


def test_a_wrong_key_is_not_mended_by_a_right_one_elsewhere() -> None:
    with pytest.raises(InvalidApiKey):
        identify(asked(f"{MODELS}?subscription-key=one-key", "api-key: wrong"), KEYRING)


def test_where_nobody_has_a_key_everybody_comes_in_and_the_key_is_still_known() -> None:
    admission = identify(asked(MODELS, "api-key: any"), Keyring([], []))
    assert admission.identity is ANONYMOUS
    assert admission.key == b"any"


TOKEN = "eyJhbGciOiJub25lIn0.eyJhenAiOiJhcHAtMSIsIm9pZCI6InBlcnNvbi0xIiwic2NwIjoiYSJ9.x"


def test_a_token_beside_the_key_says_who_used_it_and_decides_nothing() -> None:
    lines = ["api-key: one-key", f"Authorization: Bearer {TOKEN}"]
    admission = identify(asked(MODELS, *lines), KEYRING)
    assert (admission.identity.caller, admission.key) == ("one", b"one-key")
    assert (admission.application, admission.subject, admission.identity_source) == ("app-1", "person-1", "token")
    trusted = identify(asked(MODELS, *lines, "X-MS-CLIENT-PRINCIPAL-NAME: somebody"), KEYRING, trusts_platform=True)
    assert (trusted.application, trusted.subject, trusted.identity_source) == ("app-1", "somebody", "platform")
    passed = identify(asked(MODELS, *lines), KEYRING, trusts_platform=True)  # by a platform that lets strangers through
    assert (passed.subject, passed.identity_source) == ("person-1", "token")
    with pytest.raises(InvalidApiKey):
        identify(asked(MODELS, f"Authorization: Bearer {TOKEN}"), KEYRING)


def test_what_could_not_be_written_down_is_not_let_through() -> None:
    admit(journal_accepts=True, stopping=False)
    with pytest.raises(JournalUnavailable, match="cannot keep the records"):
        admit(journal_accepts=False, stopping=False)


@pytest.mark.parametrize("journal_accepts", [True, False])
def test_a_gateway_that_stops_takes_nothing_new(journal_accepts: bool) -> None:
    with pytest.raises(ShuttingDown, match="send the request again"):
        admit(journal_accepts=journal_accepts, stopping=True)
