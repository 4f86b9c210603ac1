"""Whether a 401 or 403 is about the gateway: its credential, or the network it calls from. The caller can fix neither.

A 401 is about the credential, unless it blames a header of the caller's; a 403 only where a provider is known to say
so. The words of all providers are known to each: what is configured as one may have another one behind it, such as
Azure's v1 API behind ``kind = "openai"``.
"""

import re
from typing import Any, Literal

import msgspec

from .registry import PROVIDERS

__all__ = ["AccessRefusal", "access_refusal"]


class AccessRefusal(msgspec.Struct, frozen=True):
    """What of the gateway is refused, and the upstream's code for it where that is one word."""

    what: Literal["credential", "network"]
    code: str | None


_ALL = PROVIDERS.values()
_CREDENTIAL_CODES = frozenset().union(*(provider.credential_codes for provider in _ALL))
_NETWORK_CODES = frozenset().union(*(provider.network_codes for provider in _ALL))
_CALLER_CODES = frozenset().union(*(provider.caller_codes for provider in _ALL))
_CREDENTIAL = re.compile("|".join(p.credential_messages for p in _ALL if p.credential_messages), re.IGNORECASE)
_NETWORK = re.compile("|".join(p.network_messages for p in _ALL if p.network_messages), re.IGNORECASE)
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")


def access_refusal(status: int, body: bytes) -> AccessRefusal | None:
    """What a 401 or 403 to our own credential refuses of ours; ``None`` where it is the caller's to know."""
    code, message = _code_and_message(body)
    word = code if _WORD.fullmatch(code) else None
    if status == 401:
        return None if code in _CALLER_CODES else AccessRefusal("credential", word)
    if code in _CREDENTIAL_CODES or _CREDENTIAL.search(message):
        return AccessRefusal("credential", word)
    if code in _NETWORK_CODES or _NETWORK.search(message):
        return AccessRefusal("network", word)
    return None


def _code_and_message(body: bytes) -> tuple[str, str]:
    """In OpenAI's shape; as some of Azure's front ends have it, without the member around; or in Anthropic's, whose
    code is the ``type``."""
    try:
        decoded: Any = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return "", ""
    if not isinstance(decoded, dict):
        return "", ""
    error = decoded.get("error")
    error = error if isinstance(error, dict) else decoded
    code = error.get("code") or (error.get("type") if "type" in decoded else None)
    return str(code or ""), str(error.get("message") or "")
