"""Whether a 401 or 403 is about the gateway: its credential, or the network it calls from. The caller can mend neither.

Azure answers 401 to a wrong key, an expired token and an identity without the role (`PermissionDenied`), and 403 to a
key where only Entra ID signs in, and to who calls from outside the resource's network. OpenAI answers 403 to a key
without the scope. Any other 403 is about the request, as are the 401s that blame a header of the caller's.
"""

import re
from typing import Any, Literal

import msgspec

__all__ = ["Refused", "refused_by"]


class Refused(msgspec.Struct, frozen=True):
    """What of the gateway is refused, and the upstream's word for it where that is one word."""

    what: Literal["credential", "network"]
    code: str | None


# Azure tells these with the code "403" only.
_NETWORK = re.compile(r"virtual network|firewall rules|public access is disabled|private endpoint", re.IGNORECASE)
_NETWORK_CODES = frozenset(["unsupported_country_region_territory"])
_CREDENTIAL_CODES = frozenset(["AuthenticationTypeDisabled", "PermissionDenied", "missing_scope"])
_SCOPES = re.compile(r"missing scopes", re.IGNORECASE)
# The caller's `openai-organization` and `openai-project` travel with our key.
_HEADERS_OF_THE_CALLER = frozenset(["invalid_organization", "mismatched_organization", "mismatched_project"])
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")


def refused_by(status: int, body: bytes) -> Refused | None:
    """What a 401 or 403 to our own credential refuses of ours; ``None`` where it is the caller's to know."""
    code, message = _said(body)
    word = code if _WORD.fullmatch(code) else None
    if status == 401:
        return None if code in _HEADERS_OF_THE_CALLER else Refused("credential", word)
    if code in _CREDENTIAL_CODES or _SCOPES.search(message):
        return Refused("credential", word)
    if code in _NETWORK_CODES or _NETWORK.search(message):
        return Refused("network", word)
    return None


def _said(body: bytes) -> tuple[str, str]:
    """Code and message, in OpenAI's shape or, as some of Azure's front ends have it, without the member around."""
    try:
        decoded: Any = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return "", ""
    if not isinstance(decoded, dict):
        return "", ""
    error = decoded.get("error")
    error = error if isinstance(error, dict) else decoded
    return str(error.get("code") or ""), str(error.get("message") or "")
