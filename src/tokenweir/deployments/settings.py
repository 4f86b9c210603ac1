"""What callers may ask for, and where it can go."""

from typing import Literal

import msgspec

from ..limits import LimitAmounts

__all__ = ["DeploymentSettings", "Target", "TargetSettings"]


class TargetSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One place a deployment can be served from."""

    upstream: str
    """The ``name`` of an upstream."""
    deployment: str | None = None
    """Its name there; default: the name callers use."""
    model: str | None = None
    """The exact model behind it: deployment names say nothing, and counting and prices need it."""
    sku: str | None = None
    """``ptu``, ``global``, ``regional`` and so on, as records and reports should show it."""
    priority: int = 1
    """Lower is tried first."""
    weight: int = 1
    """The share among targets of one priority. This version tries them in the order of the file."""


class DeploymentSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One ``[[deployments]]`` table."""

    name: str
    """What callers ask for."""
    targets: list[TargetSettings]
    """Where it can be served from; see below."""
    on_client_gone: Literal["cancel", "drain"] | None = None
    """As in ``[server]``, for calls to this deployment."""
    limits: LimitAmounts = LimitAmounts()
    """How much all callers together may use of it; see [limits](../guides/limits.md)."""


class Target(msgspec.Struct, frozen=True):
    """One place a call can go. ``deployment`` is its name there; ``None`` where the path has none."""

    upstream: str
    deployment: str | None
    model: str | None = None
    sku: str | None = None
    on_client_gone: str | None = None

    @property
    def is_router(self) -> bool:
        """Whether a model router is there, which chooses a model for each call and has a fee beside its price."""
        return (self.model or self.deployment or "").startswith("model-router")
