"""Messages that hold API Management's events, in the form that the inbox asks for."""

from ....policy import Keyring
from ....records import CallRecord
from ...messages import Message
from ..formats import RecordPart, Unreadable
from .event import read_event
from .keys import KeyOwners, without_key
from .metered import record_of

__all__ = ["ApimEvents"]


class ApimEvents:
    """Format ``apim``: a message is one event, and one event is one call."""

    def __init__(self, keyring: Keyring, *, keeps_keys: bool = False, keeps_content: bool = False) -> None:
        """``keeps_keys`` and ``keeps_content``: whether keys, and prompts and answers, are written down as logged."""
        self._owners = KeyOwners(keyring, keeps_keys=keeps_keys)
        self._keeps_content = keeps_content

    def unwrap(self, message: Message) -> RecordPart:
        if not message.body:
            raise Unreadable("it is empty")
        return RecordPart(message.body)

    def decode(self, data: bytes) -> CallRecord:
        event = read_event(data)
        owner = self._owners.owner(event.key, event.subscription)
        return record_of(event, data, owner, keeps_content=self._keeps_content)

    def presentable(self, message: Message) -> Message:
        return without_key(message)
