"""What people are told of limits. msgspec makes these classes, which cannot be compiled."""

from datetime import datetime

import msgspec

__all__ = ["LimitOverride", "LimitState"]


class LimitOverride(msgspec.Struct, frozen=True):
    """One limit's other amount. Written as in the configuration; ``until`` is aware."""

    limit: str
    setting: str
    amount: str
    until: datetime
    reason: str
    by: str
    made_at: datetime


class LimitState(msgspec.Struct, frozen=True):
    """One limit, of one caller, deployment or session where it is counted apart for each."""

    limit: str
    setting: str
    counted_for: str
    """What it is counted apart for, as in ``caller=team-a session=7``; empty where it is not."""
    amount: str
    """That is in force."""
    used: str | None
    """With what is reserved for calls under way and held by relays; ``None`` where only the running relays know."""
    left: str | None
    ends_at: datetime | None
    """When the next period begins."""
    override: LimitOverride | None
    """Why the amount is not the configured one."""
