"""What is known about one caller, and which calls are traced."""

from collections.abc import Iterable
from typing import Literal

import msgspec

from ..records import Duration

__all__ = ["CallerSettings", "Identity", "TracingSettings", "former_names"]


class CallerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One ``[[callers]]`` table."""

    name: str
    """What records and reports call it."""
    key_sha256: str | None = None
    """Hex SHA-256 of the key; further keys of the same caller live in the keys file."""
    tags: dict[str, str] = {}
    """Written into each record of the caller, to group by: ``{ cost_centre = "4711" }``."""
    on_client_gone: Literal["cancel", "drain"] | None = None
    """As in ``[server]``, for calls of this caller."""
    formerly: list[str] = []
    """Names that it had before: their calls count as its own, and keys that were made for them are its keys."""


def former_names(callers: Iterable[CallerSettings]) -> dict[str, str]:
    """Each name that a caller had before, with the one that it has now."""
    return {old: caller.name for caller in callers for old in caller.formerly if old != caller.name}


class TracingSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ``[tracing]`` table. Whoever has a debug token is traced whatever stands here."""

    failed: bool = True
    """Trace every call that did not end well: refused, an error status, broken off, left, timed out."""
    slow_first_byte: Duration = Duration(10)
    """Trace every call whose answer began later than that."""
    slow_call: Duration = Duration(120)
    """Trace every call that took longer than that."""
    sample: float = 0.0
    """The share of all other calls that is traced, from 0 to 1."""
    api: str = "openai"
    """The name of this gateway's API, as the last part of the ``apiId`` for which debug tokens are asked."""
    subscription_key_env: str | None = None
    """The environment variable that holds the key which the admin port gives to tools that ask API Management for the
    keys of a subscription; this gateway keeps only hashes of its own. Default: they get none."""
    secret: str | None = None
    """Signs debug tokens; the same wherever they are to be accepted. Default: a new one with each start."""


class Identity(msgspec.Struct, frozen=True):
    """A caller as the rest of the house knows it."""

    caller: str
    key_id: str | None = None
    tags: dict[str, str] = {}
    on_client_gone: str | None = None
