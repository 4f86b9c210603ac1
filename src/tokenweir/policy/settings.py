"""What is known about one caller, and which calls are traced."""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

import msgspec

from ..limits import LimitAmounts
from ..records import Duration, PathText
from .permissions import Permissions

__all__ = ["CallerSettings", "EntraSettings", "GroupSettings", "Identity", "TracingSettings", "former_names"]


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
    entra: list[str] = []
    """Object ids of Entra groups, and names of app roles: whoever has a token with one of them is in this group."""
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
    applications: list[str] = []
    """Ids of Entra applications whose tokens are this caller's. Others are callers by their own id."""
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


class EntraSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ``[entra]`` table: access tokens of Microsoft Entra ID open the data port; needs ``tokenweir[entra]``."""

    tenants: list[str] = []
    """Ids of the tenants whose tokens are let in. None: no tokens are."""
    audiences: list[str] = []
    """For whom a token must be made out: the gateway's application id, or its id URI, as ``api://tokenweir``."""
    applications: list[str] = []
    """Ids of the applications that may have asked for the token. None: any."""
    roles: list[str] = []
    """App roles of which the token has to have one, as ``OpenAI.Call``. None: none is asked for."""
    groups: list[str] = []
    """The ``[[groups]]`` that everybody with a token is in, behind those that the token's own groups and roles are."""
    require_group: bool = False
    """Whether a token that leads to none of the ``[[groups]]`` by its own groups and roles, or by its caller's, is
    refused."""
    with_key: Literal["either", "both"] = "either"
    """Whether a key or a token is enough, or both are asked for. Where both come, the key says who calls, the token who
    uses it, and both must be good."""
    clock_skew: Duration = Duration(120)
    """How far the issuer's clock may be from this one."""
    issuers: list[str] = []
    """What a token's ``iss`` may be. None: ``https://login.microsoftonline.com/{tenant}/v2.0`` and
    ``https://sts.windows.net/{tenant}/``; other clouds have other names."""
    keys_url: str = "https://login.microsoftonline.com/{tenant}/discovery/v2.0/keys"
    """Where each tenant's signing keys are (JWKS). They are fetched once an hour, and for a key that is not known."""
    ca_bundle: PathText | None = None
    """A PEM file to trust there instead of the system's."""


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
