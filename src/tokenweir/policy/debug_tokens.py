"""Debug tokens, as API Management has them: who holds one may have a call traced, for a while.

    aid=openai&p=tracing&ex=2026-11-24T16:00:00Z&sn=…      the API, the purpose, the end, and a signature over them

Any process with the secret can issue and check them, so the relay asks nobody.
"""

import hmac
from base64 import urlsafe_b64encode
from datetime import UTC, datetime
from hashlib import sha256
from typing import Literal
from urllib.parse import parse_qsl, urlencode

import msgspec

__all__ = ["DebugToken", "DebugTokens"]


class DebugToken(msgspec.Struct, frozen=True):
    """What one of our tokens says."""

    api: str
    expires: datetime
    state: Literal["valid", "expired", "wrong_api"]


class DebugTokens:
    """Issues and reads them for the gateway's API, whose name is the last part of an ``apiId``."""

    def __init__(self, secret: str, api: str) -> None:
        self._secret = secret.encode()
        self.api = api

    def __repr__(self) -> str:
        return f"<DebugTokens for {self.api}>"

    def issue(self, expires: datetime) -> str:
        """A token for an aware moment, to the second."""
        text = urlencode({"aid": self.api, "p": "tracing", "ex": f"{expires.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"})
        return f"{text}&sn={self._signature(text)}"

    def read(self, token: str, now: datetime) -> DebugToken | None:
        """``None``: it is not one of ours, whatever it may be to an upstream."""
        text, _, signature = token.rpartition("&sn=")
        if not hmac.compare_digest(signature.encode(), self._signature(text).encode()):
            return None
        said = dict(parse_qsl(text))
        expires = datetime.fromisoformat(said["ex"])
        state: Literal["valid", "expired", "wrong_api"] = "valid"
        if said["aid"] != self.api:
            state = "wrong_api"
        elif now >= expires:
            state = "expired"
        return DebugToken(said["aid"], expires, state)

    def _signature(self, text: str) -> str:
        digest = hmac.digest(self._secret, text.encode(), sha256)
        return urlsafe_b64encode(digest).rstrip(b"=").decode()
