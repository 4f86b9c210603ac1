"""How one target of a deployment is, as the relay that calls it tells others."""

from typing import Literal

import msgspec

__all__ = ["TargetStatus"]


class TargetStatus(msgspec.Struct, frozen=True):
    """Counts are of this run of the relay."""

    deployment: str
    """As callers name it."""
    upstream: str
    target: str
    """The deployment's name there."""
    priority: int
    weight: float
    """0: drained."""
    breaker: Literal["closed", "open", "half-open"]
    reason: str | None = None
    """Why it is not closed: an error code or a status."""
    wait_seconds: float = 0.0
    """Until it lets another call try."""
    calls: int = 0
    """Calls whose turn came there."""
    failovers: int = 0
    """Of these, those that went on to another target."""
    spillovers: int = 0
    """Calls that came there as no target of a lower priority took them."""
    trips: int = 0
    """Times that its breaker was opened."""

    def __str__(self) -> str:
        """For a person."""
        name = self.upstream if self.target == self.deployment else f"{self.upstream}/{self.target}"
        if self.weight == 0:
            return f"{name} is drained"
        if self.breaker == "closed":
            return f"{name} takes calls"
        when = f"tried again in {self.wait_seconds:.1f} s" if self.wait_seconds else "the next call tries it"
        return f"{name} is left alone after {self.reason} ({when})"
