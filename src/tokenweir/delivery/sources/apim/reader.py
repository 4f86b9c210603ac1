"""Messages that hold API Management's events, in the form that reassembly asks for; and the subscription key in them.

The chargeback solution's policy logs keys as they are; ours logs ``sha256:`` and the hash. Both give the same key id
here, the hash, which is also what `callers.sh` gives a gateway beside API Management.
"""

import re
from hashlib import sha256

from ....policy import Identity, Keyring
from ....records import CallRecord
from ...base import BrokerMessage
from ..formats import RecordPart, Unreadable
from .event import read_event
from .metered import record_of

__all__ = ["ApimEvents", "KeyOwners", "without_key"]

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


def without_key(message: BrokerMessage) -> BrokerMessage:
    """The message with the hash of the subscription key instead of the key, whether or not it is JSON otherwise."""

    def hashed(found: re.Match[bytes]) -> bytes:
        key = found[2].decode(errors="replace")
        return found[1] + (f"sha256:{_digest(key).hex()}".encode() if key else b"")

    body = _LOGGED_KEY.sub(hashed, message.body)
    return (
        message
        if body == message.body
        else BrokerMessage(body=body, properties=message.properties, place=message.place)
    )


def _digest(key: str) -> bytes:
    hashed = _HASHED.fullmatch(key)
    return bytes.fromhex(hashed[1]) if hashed else sha256(key.encode(errors="replace")).digest()


class ApimEvents:
    """Format ``apim``: a message is one event, and one event is one call."""

    def __init__(self, keyring: Keyring, *, keeps_keys: bool = False, keeps_content: bool = False) -> None:
        """``keeps_keys`` and ``keeps_content``: whether keys, and prompts and answers, are written down as logged."""
        self._owners = KeyOwners(keyring, keeps_keys=keeps_keys)
        self._keeps_content = keeps_content

    def unwrap(self, message: BrokerMessage) -> RecordPart:
        if not message.body:
            raise Unreadable("it is empty")
        return RecordPart(message.body)

    def decode(self, data: bytes) -> CallRecord:
        event = read_event(data)
        owner = self._owners.owner(event.key, event.subscription)
        return record_of(event, data, owner, keeps_content=self._keeps_content)

    def presentable(self, message: BrokerMessage) -> BrokerMessage:
        return without_key(message)
