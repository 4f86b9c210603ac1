"""What callers may ask for, and where it can go."""

from typing import Literal

import msgspec

__all__ = ["DeploymentSettings", "TargetSettings"]


class TargetSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One place a deployment can be served from."""

    upstream: str
    deployment: str | None = None
    """Its name there; default: the name callers use."""
    model: str | None = None
    """The exact model behind it: deployment names say nothing, and counting and prices need it."""
    sku: str | None = None
    priority: int = 1
    weight: int = 1


class DeploymentSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One ``[[deployments]]`` table."""

    name: str
    targets: list[TargetSettings]
    on_client_gone: Literal["cancel", "drain"] | None = None
