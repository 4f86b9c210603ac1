"""What is known about one caller, and which calls are traced."""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

import msgspec

from ..limits import LimitAmounts
from ..records import Duration
from .permissions import Permissions

__all__ = ["CallerSettings", "GroupSettings", "Identity", "TracingSettings", "former_names"]


class GroupSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One ``[[groups]]`` table: a product, a tier, a department. Callers and keys name the groups that they are in."""

    name: str
    """What callers and keys call it."""
    tags: dict[str, str] = {}
    """Written into each record of its callers; a tag of the caller's own, or of the key's, goes first."""
    deployments: list[str] | None = None
    """What its callers may ask for: names, or beginnings and a star. Default: the group says nothing of it."""
    models: list[str] | None = None
    """Which models may be behind that, by a target's ``model`` or, without one, by its deployment's name there."""
    surfaces: list[str] | None = None
    """Which APIs may be used, as the ``api`` of records has them, or where that is ``other``, the ``operation``."""
    limits: LimitAmounts = LimitAmounts()
    """How much its callers may use together; see [limits](../guides/limits.md)."""


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
    groups: list[str] = []
    """The ``[[groups]]`` that it is in. A key with groups of its own is in those instead."""
    deployments: list[str] | None = None
    """As in ``[[groups]]``; a list here stands in the place of those of its groups."""
    models: list[str] | None = None
    """As in ``[[groups]]``, likewise."""
    surfaces: list[str] | None = None
    """As in ``[[groups]]``, likewise."""
    limits: LimitAmounts = LimitAmounts()
    """How much it may use; see [limits](../guides/limits.md)."""


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
    groups: tuple[str, ...] = ()
    """In the order of the configuration, or of the key."""
    permissions: Permissions | None = None
    """What it may use; ``None``: everything."""
    valid_until: datetime | None = None
    """An aware moment from which on the key, or the token, opens nothing."""
