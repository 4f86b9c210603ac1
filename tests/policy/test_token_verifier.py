"""A token of Entra ID is good, or is refused with what is wrong with it; nothing else ends a call."""

import base64
import hmac
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from hypothesis import given, settings, strategies as st

from support.clocks import JumpingClock
from support.entra import APPLICATION, AUDIENCE, TENANT, Issuer, issuer_settings
from tokenweir.errors import InvalidToken, NotPermitted, TokenKeysUnavailable
from tokenweir.policy import (
    CallerSettings,
    EntraSettings,
    GroupSettings,
    Keyring,
    TokenVerifier,
    VerifiedToken,
    signing_keys,
)

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
OTHER = "99999999-2222-3333-4444-555555555555"


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    yield Issuer(JumpingClock(NOW))


def verifier(issuer: Issuer, **chosen: Any) -> TokenVerifier:
    made = TokenVerifier(issuer_settings(issuer, **chosen))
    take(made, issuer)
    return made


def take(made: TokenVerifier, issuer: Issuer, at: datetime = NOW) -> None:
    made.take_keys(TENANT, signing_keys(issuer.document()), at.timestamp())


def refusal(made: TokenVerifier, token: str | bytes, now: datetime = NOW) -> str:
    with pytest.raises(InvalidToken) as refused:
        made.verify(token.encode() if isinstance(token, str) else token, now)
    assert (refused.value.status, refused.value.code) == (401, "invalid_token")
    return str(refused.value)


def test_a_good_token_says_which_application_and_for_whom(issuer: Issuer) -> None:
    made = verifier(issuer)
    token = made.verify(issuer.token().encode(), NOW)
    assert (token.application, token.user, token.tenant, token.groups) == (APPLICATION, None, TENANT, ())
    assert token.valid_until == NOW + timedelta(seconds=3600 + 120)
    said = issuer.token(azp=None, appid="app-1", scp="a", oid="ada", groups=["g"], roles=["r"], ver="1.0")
    token = made.verify(said.encode(), NOW)
    assert (token.application, token.user, token.groups) == ("app-1", "ada", ("g", "r"))


def test_a_token_of_the_first_version_has_another_issuer(issuer: Issuer) -> None:
    said = issuer.token(iss=f"https://sts.windows.net/{TENANT}/")
    assert verifier(issuer).verify(said.encode(), NOW).tenant == TENANT


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"aud": "https://cognitiveservices.azure.com"}, "for another audience"),
        ({"aud": None}, "for another audience"),
        ({"aud": [AUDIENCE]}, "for another audience"),
        ({"iss": f"https://login.microsoftonline.com/{OTHER}/v2.0", "tid": OTHER}, "another tenant"),
        ({"tid": OTHER}, "another tenant"),
        ({"iss": f"https://login.microsoftonline.com/{OTHER}/v2.0"}, "another tenant"),
        ({"iss": None}, "another tenant"),
        ({"exp": int(NOW.timestamp()) - 120}, "expired at 2026-11-22 11:58:00 UTC"),
        ({"exp": None}, "until when"),
        ({"exp": "soon"}, "until when"),
        ({"exp": True}, "until when"),
        ({"exp": 1e30}, "until when"),
        ({"nbf": int(NOW.timestamp()) + 121}, "is good from 2026-11-22 12:02:01 UTC on"),
        ({"nbf": "now"}, "until when"),
    ],
)
def test_a_token_that_claims_something_else_is_refused(issuer: Issuer, claims: dict[str, Any], why: str) -> None:
    # PyJWT's encoder checks some claims; what it would not make is signed by hand
    key = jwt.PyJWS()
    usual = jwt.decode(issuer.token(), options={"verify_signature": False})
    said = {name: value for name, value in {**usual, **claims}.items() if value is not None}
    token = key.encode(json.dumps(said).encode(), issuer.private_key(), "RS256", {"kid": "key-0"})
    assert why in refusal(verifier(issuer), token)


def test_clocks_may_differ_a_little_and_not_more(issuer: Issuer) -> None:
    made, now = verifier(issuer), int(NOW.timestamp())
    assert made.verify(issuer.token(exp=now - 119).encode(), NOW)
    assert made.verify(issuer.token(nbf=now + 120).encode(), NOW)


def test_alg_none_is_refused(issuer: Issuer) -> None:
    head = base64.urlsafe_b64encode(b'{"alg":"none","kid":"key-0"}').rstrip(b"=")
    payload = issuer.token().encode().split(b".")[1]
    assert "not signed as its key demands (RS256)" in refusal(verifier(issuer), head + b"." + payload + b".")


def test_a_public_key_is_no_secret_to_sign_with(issuer: Issuer) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    made = verifier(issuer)
    pem = issuer.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"key-0"}').rstrip(b"=")
    signed = head + b"." + issuer.token().encode().split(b".")[1]
    mac = base64.urlsafe_b64encode(hmac.digest(pem, signed, "sha256")).rstrip(b"=")
    assert "not signed as its key demands" in refusal(made, signed + b"." + mac)


def test_another_key_that_calls_itself_the_same_is_found_out(issuer: Issuer) -> None:
    forged = issuer.token(number=1, headers={"kid": "key-0"})
    assert "signature of this token is not its issuer's" in refusal(verifier(issuer), forged)


def test_a_changed_claim_is_found_out(issuer: Issuer) -> None:
    head, payload, signature = issuer.token().split(".")
    said = json.loads(base64.urlsafe_b64decode(payload + "=="))
    changed = base64.urlsafe_b64encode(json.dumps({**said, "azp": "app-2"}).encode()).rstrip(b"=").decode()
    assert "signature" in refusal(verifier(issuer), f"{head}.{changed}.{signature}")


def test_a_header_that_must_be_understood_and_is_not_is_refused(issuer: Issuer) -> None:
    assert refusal(verifier(issuer), issuer.token(headers={"crit": ["exp"], "exp": 1}))


def test_a_token_of_an_application_that_is_not_named_is_refused(issuer: Issuer) -> None:
    made = verifier(issuer, applications=["app-1"])
    assert "by an application that is not let in" in refusal(made, issuer.token())
    assert made.verify(issuer.token(azp="app-1").encode(), NOW)


def test_a_rotated_key_is_asked_for_once_and_what_its_predecessor_signed_is_good_while_that_is_published(
    issuer: Issuer,
) -> None:
    made, later = verifier(issuer), NOW + timedelta(minutes=5)
    old, new = issuer.token().encode(), issuer.token(number=1).encode()
    made.verify(old, later)
    with pytest.raises(TokenKeysUnavailable) as refused:
        made.verify(new, later)
    assert (refused.value.status, refused.value.retry_after, made.wants_keys) == (503, "1", True)
    issuer.published = [0, 1]
    take(made, issuer, later)
    assert not made.wants_keys
    assert made.verify(new, later) and made.verify(old, later)
    assert "a key that its issuer does not have" in refusal(made, issuer.token(number=2), later)
    assert not made.wants_keys  # it was only just asked
    issuer.published = [1]
    take(made, issuer, later)
    refusal(made, old, later)


def test_without_any_keys_yet_the_client_is_to_come_again(issuer: Issuer) -> None:
    made = TokenVerifier(issuer_settings(issuer))
    with pytest.raises(TokenKeysUnavailable):
        made.verify(issuer.token().encode(), NOW)
    assert made.wants_keys


def test_keys_of_one_tenant_sign_nothing_for_another(issuer: Issuer) -> None:
    made = TokenVerifier(issuer_settings(issuer, tenants=[TENANT, OTHER]))
    made.take_keys(OTHER, signing_keys(issuer.document()), NOW.timestamp())
    with pytest.raises(TokenKeysUnavailable):
        made.verify(issuer.token().encode(), NOW)


def test_a_token_that_was_good_is_looked_up_until_it_ends(issuer: Issuer) -> None:
    made, token = verifier(issuer), issuer.token().encode()
    first = made.verify(token, NOW)
    assert made.verify(token, NOW + timedelta(seconds=3719)) is first
    assert "has expired" in refusal(made, token, NOW + timedelta(seconds=3720))
    assert made.verify(token, NOW) is not first  # a clock that went back: it is checked again


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_nothing_is_a_token_by_chance(noise: bytes) -> None:
    made = TokenVerifier(EntraSettings(tenants=[TENANT], audiences=[AUDIENCE]))
    for token in (noise, b"eyJ" + noise, b"eyJh.." + noise, b"eyJhIjoxfQ." + noise + b".x"):
        with pytest.raises(InvalidToken):
            made.verify(token, NOW)


@settings(max_examples=30)
@given(st.integers(0, 600), st.integers(1, 255))
def test_no_changed_byte_is_good(place: int, change: int) -> None:
    issuer = Issuer(JumpingClock(NOW))
    made, token = verifier(issuer), bytearray(issuer.token().encode())
    place %= len(token) - 1  # the last letter of a signature has bits that mean nothing
    token[place] ^= change
    try:
        made.verify(bytes(token), NOW)
    except (InvalidToken, TokenKeysUnavailable):
        return
    raise AssertionError("a changed token is good")


def test_a_jwks_has_keys_that_can_be_used_or_is_none(issuer: Issuer) -> None:
    assert list(signing_keys(issuer.document())) == ["key-0"]
    for document in (b"", b"{}", b"[]", b'{"keys":[]}', b'{"keys":[{"kty":"oct","kid":"a","k":"c2VjcmV0"}]}'):
        with pytest.raises(ValueError):
            signing_keys(document)
    listed = json.loads(issuer.document())["keys"]
    odd = [{"kty": "RSA", "kid": "broken", "n": "?", "e": "AQAB"}, {**listed[0], "kid": "enc", "use": "enc"}]
    mixed = [*odd, {**listed[0], "kid": "hmac", "alg": "HS256"}, *listed]
    assert list(signing_keys(json.dumps({"keys": mixed}).encode())) == ["key-0"]


# --- whose token it is ---

STANDARD = GroupSettings("standard", {"tier": "standard"}, ["gpt-4o-mini"])
GOLD = GroupSettings("gold", {"tier": "gold"}, ["gpt-5*"], entra=["group-of-gold", "Gold.Call"])


def ring(issuer: Issuer, *callers: CallerSettings, **chosen: Any) -> Keyring:
    return Keyring(callers, [], [STANDARD, GOLD], tokens=verifier(issuer, **chosen))


def token(*groups: str, application: str | None = "app-1", user: str | None = None) -> VerifiedToken:
    return VerifiedToken(application, user, TENANT, groups, NOW)


def test_an_application_is_the_caller_that_names_it_or_a_caller_by_its_id(issuer: Issuer) -> None:
    team = CallerSettings("team", None, {"centre": "1"}, "drain", applications=["app-1"], groups=["standard"])
    known = ring(issuer, team)
    identity = known.token_identity(token())
    assert (identity.caller, identity.key_id, identity.on_client_gone) == ("team", None, "drain")
    assert (identity.tags, identity.groups) == ({"tier": "standard", "centre": "1"}, ("standard",))
    assert identity.valid_until == NOW
    assert known.token_identity(token(application="app-2")).caller == "app-2"
    assert known.token_identity(token(application=None, user="ada")).caller == "ada"


def test_groups_and_roles_of_the_token_lead_to_groups_here(issuer: Issuer) -> None:
    team = CallerSettings("team", applications=["app-1"], groups=["standard"])
    assert ring(issuer, team).token_identity(token("group-of-gold", "other")).groups == ("standard", "gold")
    assert ring(issuer).token_identity(token("Gold.Call")).groups == ("gold",)
    for_all = ring(issuer, groups=["standard"])
    assert for_all.token_identity(token("group-of-gold")).groups == ("gold", "standard")
    assert for_all.token_identity(token()).groups == ("standard",)


def test_a_role_or_a_group_can_be_asked_for(issuer: Issuer) -> None:
    with pytest.raises(NotPermitted, match="none of the roles OpenAI.Call"):
        ring(issuer, roles=["OpenAI.Call"]).token_identity(token("other"))
    assert ring(issuer, roles=["OpenAI.Call"]).token_identity(token("OpenAI.Call"))
    strict = ring(issuer, require_group=True, groups=["standard"])
    with pytest.raises(NotPermitted, match="no group of this gateway"):
        strict.token_identity(token("unknown"))
    assert strict.token_identity(token("Gold.Call")).groups == ("gold", "standard")


def test_a_gateway_that_takes_tokens_is_open_to_nobody_else(issuer: Issuer) -> None:
    only_tokens = ring(issuer)
    assert not only_tokens.is_open
    assert str(only_tokens) == f"0 keys, and tokens of {TENANT}"
