"""Messages that hold API Management's events, in the form that reassembly asks for; and the subscription key in them.

The chargeback solution's policy logs keys as they are; ours logs ``sha256:`` and the hash. Both give the same key id
here, the hash, which is also what `callers.sh` gives a gateway beside API Management.
"""

import re
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import msgspec
from msgspec.structs import replace

from ....policy import Identity, Keyring
from ....records import CallRecord
from ....wire import decode_json
from ...base import BrokerMessage
from ..formats import RecordPart, Unreadable
from .diagnostics import ENTRIES, assembled, entry_part, event_of, is_entry
from .event import BOM, read_event
from .metered import record_of

__all__ = ["ApimEvents", "KeyOwners", "without_key"]

_HASHED = re.compile(r"sha256:([0-9a-fA-F]{64})")
# As policies begin it: nothing has to be decoded to see that it is one.
_EVENT = re.compile(rb'\s*\{\s*"eventTime"')
# Also where a gateway log has the headers of requests, and in every spelling that is read.
_LOGGED_KEY = re.compile(
    rb'("(?:app[-_]?subscription[-_]?key|ocp-apim-subscription-key|api-key|authorization)"\s*:\s*")((?:[^"\\]|\\.)*)',
    re.IGNORECASE,
)
_KEY_IN_ADDRESS = re.compile(rb'(subscription-key=)([^&"\\]+)', re.IGNORECASE)


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

    body = _KEY_IN_ADDRESS.sub(hashed, _LOGGED_KEY.sub(hashed, message.body))
    return (
        message
        if body == message.body
        else BrokerMessage(body=body, properties=message.properties, place=message.place)
    )


def _part(value: Any, data: bytes) -> RecordPart:
    """An event is a record by itself, and an entry of a log a part of one."""
    if not isinstance(value, dict) or not is_entry(value):
        return RecordPart(data)
    try:
        return entry_part(value)
    except Unreadable as error:
        return RecordPart(data, problem=str(error))


def _digest(key: str) -> bytes:
    hashed = _HASHED.fullmatch(key)
    return bytes.fromhex(hashed[1]) if hashed else sha256(key.encode(errors="replace")).digest()


class ApimEvents:
    """Format ``apim``: a message holds an event, which is a call, or a list of them; or entries of the diagnostic
    settings' logs, of which a call has several."""

    def __init__(
        self, keyring: Keyring, *, keeps_keys: bool = False, keeps_content: bool = False, has_gateway_logs: bool = True
    ) -> None:
        """``keeps_keys`` and ``keeps_content``: whether keys, and prompts and answers, are written down as logged.
        ``has_gateway_logs``: whether entries of the LLM log have others beside them, which say whose call it was."""
        self._owners = KeyOwners(keyring, keeps_keys=keeps_keys)
        self._keeps_content = keeps_content
        self._has_gateway_logs = has_gateway_logs

    def unwrap(self, message: BrokerMessage) -> Sequence[RecordPart]:
        if not message.body:
            raise Unreadable("it is empty")
        if _EVENT.match(message.body):
            return [RecordPart(message.body)]
        found = decode_json(message.body.removeprefix(BOM))
        if isinstance(found, dict):
            wrapped = found.get("records", found.get("Records"))
            if not isinstance(wrapped, list):
                return [_part(found, message.body)]
            found = wrapped
        elif not isinstance(found, list):
            if message.body.lstrip()[:1] == b"[":
                raise Unreadable("it is a list of events whose end is missing: send fewer of them in one message")
            return [RecordPart(message.body)]
        if not found:
            raise Unreadable("it is an empty list, so nothing says what was used")
        return [_part(one, msgspec.json.encode(one)) for one in found]

    def assembled(self, parts: Sequence[bytes], *, is_last: bool) -> bytes | None:
        return assembled(
            parts, waits_for_owner=self._has_gateway_logs, waits_for_text=self._keeps_content, is_last=is_last
        )

    def decode(self, data: bytes) -> CallRecord:
        is_logged = data.startswith(ENTRIES)
        event = event_of(data) if is_logged else read_event(data)
        owner = self._owners.owner(event.key, event.subscription)
        # The same for the same call, whichever of its entries came together.
        source = (event.request_id or "").encode() if is_logged else data
        record = record_of(event, source, owner, keeps_content=self._keeps_content)
        # The log has put the answer together: that it was a stream cannot be seen in its text.
        return replace(record, stream=event.stream is True) if is_logged else record

    def presentable(self, message: BrokerMessage) -> BrokerMessage:
        return without_key(message)
