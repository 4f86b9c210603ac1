"""One limit: what is counted, in what time, how much of it, and whose calls it is for."""

from collections.abc import Iterable
from typing import Final, Protocol

from .settings import LimitAmounts, LimitSettings, Money

__all__ = ["CALLS", "COST", "NANO", "REQUESTS", "TOKENS", "Limit", "limits_of"]

REQUESTS: Final = "requests"
TOKENS: Final = "tokens"
CALLS: Final = "calls"
COST: Final = "cost"
"""What is counted: calls that were let in, tokens, calls under way, and money in units of `NANO`."""

NANO: Final = 1_000_000_000
"""So many units are one of a currency: what is reserved and what remains is a whole number of them, rounded up."""

_COUNTED: Final = {"requests": REQUESTS, "tokens": TOKENS, "concurrent": CALLS, "cost": COST}


class Limit:
    """Not to be changed."""

    def __init__(
        self,
        name: str,
        setting: str,
        amount: int,
        *,
        currency: str = "",
        per: tuple[str, ...] = (),
        callers: frozenset[str] = frozenset(),
        groups: frozenset[str] = frozenset(),
        deployments: frozenset[str] = frozenset(),
        surfaces: frozenset[str] = frozenset(),
        ends_overrun: bool = False,
    ) -> None:
        """``name`` says whose it is, as people read it; ``setting`` is its name in `LimitAmounts`; of an empty set,
        all are meant."""
        counted, _, window = setting.partition("_per_")
        self.name = name
        self.setting = setting
        self.counts = _COUNTED[counted.partition("_")[0]]
        self.window = window
        """``minute``, ``hour``, ``day``, ``week``, ``month``; empty for calls under way."""
        self.is_quota = window not in ("", "minute")
        self.amount = amount
        self.currency = currency
        self.per = per
        self.callers = callers
        self.groups = groups
        self.deployments = deployments
        self.surfaces = surfaces
        self.ends_overrun = ends_overrun

    def __repr__(self) -> str:
        return f"<Limit {self.name} {self.setting} {self.amount}>"

    def shown(self, units: int) -> str:
        """An amount of it, for people."""
        if self.counts != COST:
            return str(units)
        whole, rest = divmod(units, NANO)
        decimals = f"{rest:09d}".rstrip("0").ljust(2, "0")
        return f"{whole}.{decimals} {self.currency}"

    def is_for(self, caller: str, groups: Iterable[str], deployment: str, surface: str) -> bool:
        """Whether calls of this kind are under it."""
        if self.callers and caller not in self.callers:
            return False
        if self.deployments and deployment not in self.deployments:
            return False
        if self.surfaces and surface not in self.surfaces:
            return False
        return not self.groups or not self.groups.isdisjoint(groups)

    def keys(self, caller: str, groups: Iterable[str], deployment: str, surface: str) -> list[str]:
        """The names under which a call of this kind is counted, without its session: one, but for a caller in several
        groups."""
        start = f"{self.name} {self.setting}"
        named = {"caller": caller, "deployment": deployment, "surface": surface}
        for dimension in self.per:
            if dimension in named:
                start = f"{start} {dimension}={named[dimension]}"
        if "group" not in self.per:
            return [start]
        return [f"{start} group={group}" for group in groups if not self.groups or group in self.groups]


class _Limited(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def limits(self) -> LimitAmounts: ...


def limits_of(
    callers: Iterable[_Limited],
    groups: Iterable[_Limited],
    deployments: Iterable[_Limited],
    tables: Iterable[LimitSettings],
) -> list[Limit]:
    """All limits of a configuration. Those of a group are shared by its callers, those of a deployment by all."""
    found: list[Limit] = []
    for caller in callers:
        found += _limits(f"caller {caller.name}", caller.limits, callers=frozenset([caller.name]))
    for group in groups:
        found += _limits(f"group {group.name}", group.limits, groups=frozenset([group.name]))
    for deployment in deployments:
        found += _limits(f"deployment {deployment.name}", deployment.limits, deployments=frozenset([deployment.name]))
    for table in tables:
        found += _limits(
            table.name,
            table.limits,
            per=tuple(table.per),
            callers=frozenset(table.callers),
            groups=frozenset(table.groups),
            deployments=frozenset(table.deployments),
            surfaces=frozenset(table.surfaces),
        )
    return found


def _limits(
    name: str,
    amounts: LimitAmounts,
    *,
    per: tuple[str, ...] = (),
    callers: frozenset[str] = frozenset(),
    groups: frozenset[str] = frozenset(),
    deployments: frozenset[str] = frozenset(),
    surfaces: frozenset[str] = frozenset(),
) -> list[Limit]:
    return [
        Limit(
            name,
            setting,
            int(amount.amount * NANO) if isinstance(amount, Money) else amount,
            currency=amount.currency if isinstance(amount, Money) else "",
            per=per,
            callers=callers,
            groups=groups,
            deployments=deployments,
            surfaces=surfaces,
            ends_overrun=amounts.on_overrun == "end",
        )
        for setting in LimitAmounts.__struct_fields__
        if setting != "on_overrun" and (amount := getattr(amounts, setting)) is not None
    ]
