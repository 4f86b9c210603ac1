"""Access tokens of Microsoft Entra ID, validated: for whom, by whom, until when, and signed with a key of theirs.

What a token claims is compared before its signature is checked, as that costs a hundred times as much. Whoever was let
in is remembered by the token's SHA-256 until it ends, so that the next call with it costs a look-up.

Source: Microsoft's reference of access token claims; RFC 7519, 8725. The signature is PyJWT's matter.
"""

from binascii import Error as NotBase64, a2b_base64
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import msgspec

from ..errors import ConfigError, InvalidToken, TokenKeysUnavailable
from .settings import EntraSettings

__all__ = ["TokenVerifier", "VerifiedToken", "is_token", "signing_keys"]

# Tokens of people in very many groups have some kilobytes.
_LONGEST_TOKEN = 16_384
# A token is good for an hour or so; these are some megabytes.
_MOST_REMEMBERED = 10_000
# How often a key that nobody knows may lead to a question: Entra publishes keys days before it signs with them.
_ASK_AGAIN_SECONDS = 10.0
_MOST_NAMES = 1_000

_ISSUERS = ["https://login.microsoftonline.com/{tenant}/v2.0", "https://sts.windows.net/{tenant}/"]
_ALGORITHMS = {("RSA", None): "RS256", ("EC", "P-256"): "ES256", ("EC", "P-384"): "ES384"}
"""Of a key that does not name its own. Never one whose key is a secret."""


class VerifiedToken:
    """What a good token says. Not to be changed."""

    def __init__(
        self, application: str | None, user: str | None, tenant: str, groups: tuple[str, ...], valid_until: datetime
    ) -> None:
        """``application``: the client that asked for it. ``user``: the object id of the person for whom it acts; None
        where it acts for itself. ``groups``: ids of groups, and names of roles."""
        self.application = application
        self.user = user
        self.tenant = tenant
        self.groups = groups
        self.valid_until = valid_until


def is_token(bearer: bytes) -> bool:
    """Whether this is meant as such a token, and no key."""
    return bearer.startswith(b"eyJ") and bearer.count(b".") == 2


def signing_keys(document: bytes) -> dict[str, tuple[str, Any]]:
    """The algorithm and the public key of each ``kid`` in a JWKS. Raises ValueError where there is none to be used."""
    import jwt

    try:
        listed = msgspec.json.decode(document, type=dict[str, list[dict[str, Any]]])["keys"]
    except (msgspec.DecodeError, KeyError) as error:
        raise ValueError("it is no JWKS") from error
    found: dict[str, tuple[str, Any]] = {}
    for one in listed:
        kid, kind = one.get("kid"), one.get("kty")
        curve = one.get("crv") if kind == "EC" else None
        usual = _ALGORITHMS.get((str(kind), curve))
        if not isinstance(kid, str) or usual is None or one.get("use", "sig") != "sig":
            continue
        algorithm = str(one.get("alg", usual))
        if algorithm[:2] != usual[:2] and algorithm[:2] != "PS":
            continue
        try:
            found[kid] = algorithm, jwt.PyJWK.from_dict(one, algorithm).key
        except jwt.PyJWTError:
            continue  # the others may be good
    if not found:
        raise ValueError("no key in it can be used")
    return found


class TokenVerifier:
    """For the life of one configuration. The keys are exchanged as they rotate, by another thread."""

    def __init__(self, settings: EntraSettings) -> None:
        """Raises ``ConfigError`` where PyJWT is not there."""
        try:
            import jwt
        except ImportError as error:
            raise ConfigError("[entra] needs PyJWT; install it with: pip install 'tokenweir[entra]'") from error
        self._signature = jwt.PyJWS()
        self._bad_signature: type[Exception] = jwt.PyJWTError
        self.settings = settings
        self._tenants = frozenset(tenant.lower() for tenant in settings.tenants)
        self._audiences = frozenset(settings.audiences)
        self._applications = frozenset(settings.applications)
        self._skew = timedelta(seconds=settings.clock_skew)
        issuers = settings.issuers or _ISSUERS
        self._issuers = {name.replace("{tenant}", one): one for name in issuers for one in self._tenants}
        self._keys: dict[str, Mapping[str, tuple[str, Any]]] = {}
        """By tenant."""
        self._fetched_at: dict[str, float] = {}
        self._verified: dict[bytes, VerifiedToken] = {}
        self.wants_keys = False
        """Whether a token came whose key is not known, so that they should be fetched again."""

    def __repr__(self) -> str:
        return f"<TokenVerifier {sum(map(len, self._keys.values()))} keys, {len(self._verified)} tokens>"

    def take_keys(self, tenant: str, keys: Mapping[str, tuple[str, Any]], fetched_at: float) -> None:
        """Those of a tenant that are in force from now on, and when they came (seconds since 1970). What a key has
        signed that is gone is no longer remembered as good."""
        before = self._keys.get(tenant, {})
        self._keys[tenant], self._fetched_at[tenant] = keys, fetched_at
        self.wants_keys = False
        if any(keys.get(kid) is None for kid in before):
            self._verified = {}

    def verify(self, token: bytes, now: datetime) -> VerifiedToken:
        """Raises ``InvalidToken``, which says what is wrong, and ``TokenKeysUnavailable`` where the key that it names
        may be there in a moment."""
        digest = sha256(token).digest()
        verified = self._verified.get(digest)
        if verified is None:
            verified = self._verify(token, now)
            if len(self._verified) >= _MOST_REMEMBERED:
                self._verified = {}
            self._verified[digest] = verified
        if now >= verified.valid_until:
            self._verified.pop(digest, None)
            raise InvalidToken("This token has expired. Get a new one from Microsoft Entra ID.")
        return verified

    def _verify(self, token: bytes, now: datetime) -> VerifiedToken:
        if len(token) > _LONGEST_TOKEN:
            raise InvalidToken(f"This token is longer than {_LONGEST_TOKEN} bytes.")
        parts = token.split(b".")
        head, claims = (_decoded(parts[0]), _decoded(parts[1])) if len(parts) == 3 else (None, None)
        if head is None or claims is None:
            raise InvalidToken("This is no access token that can be read (a JWT).")
        verified = self._claimed(claims, now)
        kid = head.get("kid")
        known = self._keys.get(verified.tenant, {}).get(kid) if isinstance(kid, str) else None
        if known is None:
            raise self._unknown_key(verified.tenant, now)
        algorithm, key = known
        if head.get("alg") != algorithm or "crit" in head:
            raise InvalidToken(f"This token is not signed as its key demands ({algorithm}).")
        try:
            self._signature.decode(token, key, algorithms=[algorithm])
        except self._bad_signature:
            raise InvalidToken("The signature of this token is not its issuer's.") from None
        return verified

    def _claimed(self, claims: dict[str, Any], now: datetime) -> VerifiedToken:
        """What it says of itself, if that would do."""
        tenant = self._issuers.get(str(claims.get("iss")))
        said = claims.get("tid", tenant)
        if tenant is None or said != tenant:
            raise InvalidToken("This token is of another tenant or another issuer than those that are let in here.")
        audience = claims.get("aud")
        if not isinstance(audience, str) or audience not in self._audiences:
            raise InvalidToken(
                "This token is for another audience. Ask for one whose scope is "
                f"{self.settings.audiences[0].rstrip('/')}/.default."
            )
        expires, begins = _moment(claims.get("exp")), _moment(claims.get("nbf", 0))
        if expires is None or begins is None:
            raise InvalidToken("This token does not say until when it is good.")
        valid_until = expires + self._skew
        if now >= valid_until:
            raise InvalidToken(f"This token expired at {expires:%Y-%m-%d %H:%M:%S} UTC. Get a new one.")
        if now < begins - self._skew:
            raise InvalidToken(f"This token is good from {begins:%Y-%m-%d %H:%M:%S} UTC on; is a clock wrong?")
        application = _text(claims.get("azp")) or _text(claims.get("appid"))
        if self._applications and application not in self._applications:
            raise InvalidToken("This token was asked for by an application that is not let in here.")
        # Only what acts for a person has scopes.
        user = _text(claims.get("oid")) if claims.get("scp") else None
        return VerifiedToken(
            application, user, tenant, (*_names(claims, "groups"), *_names(claims, "roles")), valid_until
        )

    def _unknown_key(self, tenant: str, now: datetime) -> InvalidToken | TokenKeysUnavailable:
        fetched_at = self._fetched_at.get(tenant)
        if fetched_at is not None and abs(now.timestamp() - fetched_at) < _ASK_AGAIN_SECONDS:
            return InvalidToken("This token is signed with a key that its issuer does not have.")
        self.wants_keys = True
        return TokenKeysUnavailable(
            "The gateway does not know the key that this token is signed with, and is asking its issuer for it. Send "
            "the request again."
        )


def _decoded(part: bytes) -> dict[str, Any] | None:
    plain = part.replace(b"-", b"+").replace(b"_", b"/")
    try:
        decoded: Any = msgspec.json.decode(a2b_base64(plain + b"=" * (-len(plain) % 4)))
    except (NotBase64, msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
        return None
    return decoded if isinstance(decoded, dict) else None


def _moment(seconds: object) -> datetime | None:
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _names(claims: dict[str, Any], claim: str) -> tuple[str, ...]:
    said = claims.get(claim)
    return tuple(str(name) for name in said[:_MOST_NAMES]) if isinstance(said, list) else ()


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= 200 else None
