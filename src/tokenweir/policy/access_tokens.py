"""Whom an access token of Microsoft Entra names. Nothing here is validated: not its signature, not its time, not for
whom it is; so what it says is good for reports, and for no decision.

Source: Microsoft's reference of access token claims.
"""

from binascii import Error as NotBase64, a2b_base64
from typing import Any

import msgspec

__all__ = ["TokenIdentity", "token_identity"]

# Tokens of people in very many groups have some kilobytes.
_LONGEST_TOKEN = 16_384
_LONGEST_NAME = 200


class TokenIdentity:
    """Not to be changed."""

    def __init__(self, application: str | None, user: str | None) -> None:
        """``application``: the id of the client, which asked for the token. ``user``: the object id of the person for
        whom it acts; None where it acts for itself."""
        self.application = application
        self.user = user


def token_identity(token: bytes) -> TokenIdentity | None:
    """None where this is no such token; never fails."""
    if not token.startswith(b"eyJ") or len(token) > _LONGEST_TOKEN:
        return None
    parts = token.split(b".")
    if len(parts) != 3:
        return None
    payload = parts[1].replace(b"-", b"+").replace(b"_", b"/")
    try:
        claims: Any = msgspec.json.decode(a2b_base64(payload + b"=" * (-len(payload) % 4)))
    except (NotBase64, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(claims, dict):
        return None
    application = _text(claims.get("azp")) or _text(claims.get("appid"))
    # Only what acts for a person has scopes.
    user = _text(claims.get("oid")) if claims.get("scp") else None
    return TokenIdentity(application, user) if application or user else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= _LONGEST_NAME else None
