"""Whose calls are to be forgotten, and what of a record says who it was."""

import secrets

import msgspec

from ..records import CallRecord, without_contents

__all__ = ["ABOUT_A_PERSON", "Person"]

ABOUT_A_PERSON = ("subject", "client_address", "user_agent", "traceparent")
_ABOUT_A_CALLER = (*ABOUT_A_PERSON, "key_id")


class Person(msgspec.Struct, frozen=True):
    """Whose calls: all of a caller's, or those of one subject."""

    column: str
    """``caller`` or ``subject``."""
    names: list[str]
    """As they may stand in records; more than one where subjects are hashed."""
    pseudonym: str
    """What takes the place of a caller's name, so that its sums stay apart."""

    @classmethod
    def of(cls, column: str, name: str) -> "Person":
        return cls(column, [name], f"erased-{secrets.token_hex(4)}")

    @property
    def forgotten(self) -> dict[str, str | None]:
        """The columns that say who it was, with what they get instead."""
        if self.column == "caller":
            return {"caller": self.pseudonym, **dict.fromkeys(_ABOUT_A_CALLER)}
        return dict.fromkeys(ABOUT_A_PERSON)

    def is_in(self, record: CallRecord) -> bool:
        return getattr(record, self.column) in self.names

    def forgotten_in(self, record: CallRecord) -> CallRecord:
        """The record without its contents and without who it was."""
        return msgspec.structs.replace(without_contents(record), **self.forgotten)
