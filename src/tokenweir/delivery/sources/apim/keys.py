"""The subscription key in an event: whose it is, and how it is kept out of everything else.

The chargeback solution's policy logs keys as they are; ours logs ``sha256:`` and the hash. Both give the same key id
here, the hash, which is also what `callers.sh` gives a gateway beside API Management.
"""

import re
from hashlib import sha256

from ....policy import Identity, Keyring
from ...messages import Message

__all__ = ["KeyOwners", "without_key"]

_HASHED = re.compile(r"sha256:([0-9a-fA-F]{64})")
_LOGGED_KEY = re.compile(rb'("appSubscriptionKey"\s*:\s*")((?:[^"\\]|\\.)*)')


class KeyOwners:
    """Who is charged for a key."""

    def __init__(self, keyring: Keyring, *, keeps_keys: bool = False) -> None:
        """``keeps_keys``: the key as it was logged is its own id, as the chargeback solution has it."""
        self._keyring = keyring
        self._keeps_keys = keeps_keys

    def owner(self, key: str, subscription: str | None) -> Identity:
        """The caller configured for this key; else the subscription is the caller, else the key's id."""
        if not key:
            return Identity(subscription or "")
        digest = _digest(key)
        known = self._keyring.owner_of(digest)
        key_id = digest.hex()
        if known is not None:
            return Identity(known.caller, key if self._keeps_keys else known.key_id, known.tags)
        return Identity(subscription or key_id, key if self._keeps_keys else key_id)


def without_key(message: Message) -> Message:
    """The message with the hash of the subscription key instead of the key, whether or not it is JSON otherwise."""

    def hashed(found: re.Match[bytes]) -> bytes:
        key = found[2].decode(errors="replace")
        return found[1] + (f"sha256:{_digest(key).hex()}".encode() if key else b"")

    body = _LOGGED_KEY.sub(hashed, message.body)
    return message if body == message.body else Message(body=body, properties=message.properties, place=message.place)


def _digest(key: str) -> bytes:
    hashed = _HASHED.fullmatch(key)
    return bytes.fromhex(hashed[1]) if hashed else sha256(key.encode(errors="replace")).digest()
