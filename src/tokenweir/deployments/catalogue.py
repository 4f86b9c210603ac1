"""What callers may ask for, and the places it can be served from. Pure decisions."""

from collections.abc import Container, Mapping, Sequence
from functools import lru_cache
from typing import Final, Literal, get_args

from ..errors import UnknownDeployment, UnknownRoute, UpstreamUnreachable, nearest
from ..providers import PROVIDERS, ProviderKind
from ..records import Clock, Duration, PathFamily, TargetStatus
from .breaker import CLOSED, HALF_OPEN, OPEN, BreakerState
from .pool import PoolPolicy, PoolTarget, TargetHealth, TargetPool
from .settings import BreakerSettings, DeploymentSettings, Target, TargetSettings

__all__ = ["Catalogue"]

_Key = tuple[str, str, str]
"""Of a target: the deployment as callers name it, the upstream, and the deployment's name there."""

# Where there is nowhere else to go, a call is better tried than refused.
_NO_BREAKER: Final = BreakerSettings(trip=Duration(0))
# Anybody may ask for any name where no deployments are configured.
_MOST_NAMES: Final = 1024
# What is told every second, and becomes a dozen series each.
_MOST_TOLD: Final = 500

_STATES: Final[dict[BreakerState, Literal["closed", "open", "half-open"]]] = {
    CLOSED: "closed",
    OPEN: "open",
    HALF_OPEN: "half-open",
}


class Catalogue:
    """Deployment names → the pool of targets for each. ``upstreams``: the name of each, and its kind.

    Without any ``[[deployments]]`` every name is passed on as it is, to the upstreams in the order of the file. A call
    only goes where its path is understood.
    """

    def __init__(
        self,
        deployments: Sequence[DeploymentSettings],
        upstreams: Mapping[str, ProviderKind],
        clock: Clock,
        before: "Catalogue | None" = None,
        unchanged: Container[str] = (),
    ) -> None:
        """``before``: the catalogue that this one replaces. What that has learnt of the targets on the upstreams that
        are ``unchanged`` stays known."""
        self._upstreams = tuple(upstreams)
        self._clock = clock
        self._serving: dict[PathFamily, tuple[str, ...]] = {
            family: tuple(name for name, kind in upstreams.items() if PROVIDERS[kind].serves(family))
            for family in get_args(PathFamily)
        }
        known = before.health if before is not None else {}
        self._inherited = {key: health for key, health in known.items() if key[1] in unchanged}
        self.health: dict[_Key, TargetHealth] = {}
        """By deployment, upstream and deployment there; where targets are chosen from and their health is watched."""
        self.members: dict[_Key, PoolTarget] = {}
        self._pools: dict[PathFamily, dict[str, TargetPool]] = {family: {} for family in self._serving}
        self._breakers: list[tuple[TargetHealth, BreakerSettings]] = []
        self._known = [deployment.name for deployment in deployments]
        for deployment in deployments:
            self._add(deployment)

    def __repr__(self) -> str:
        return f"<Catalogue {self}>"

    def __str__(self) -> str:
        """For a person."""
        return f"{len(self._known) or 'any'} deployments on {', '.join(self._upstreams)}"

    def take_effect(self) -> None:
        """It is in force from now on: breakers that were known before get their new settings, and not sooner."""
        for health, settings in self._breakers:
            health.breaker.configure(settings)
        self._breakers.clear()

    def pool(self, deployment: str | None, family: PathFamily) -> TargetPool:
        """Where a call can go; at least one target. Raises ``UnknownDeployment`` naming what there is, or
        ``UnknownRoute`` where no upstream understands the path.

        A path without a deployment (files, models) belongs to the first upstream alone that understands it: what it
        addresses lives there, unless it was made by a call to a deployment (`holders`).
        """
        if deployment is not None and self._known:
            found = self._pools[family].get(deployment)
            if found is None:
                raise UnknownDeployment(self._explain(deployment))
            if not found.targets:
                raise UnknownDeployment(_not_by_this_path(deployment))
            return found
        serving = self._understanding(family)
        if deployment is None:
            return _everywhere(None, serving[0])
        if len(serving) == 1:
            return _everywhere(deployment, serving[0])
        found = self._pools[family].get(deployment)
        if found is None:
            if len(self.health) >= _MOST_NAMES * len(self._upstreams):
                self._forget()
            targets = [TargetSettings(name, priority=number) for number, name in enumerate(self._upstreams)]
            self._add(DeploymentSettings(deployment, targets))
            found = self._pools[family][deployment]
        return found

    def holders(self, family: PathFamily) -> TargetPool:
        """Who may have what a path names by its id. Raises ``UnknownRoute``."""
        return _everywhere(None, *self._understanding(family))

    def out_of_reach(self) -> list[PoolTarget]:
        """The targets whose breakers are open since nothing could be sent there."""
        return [
            member
            for member in self.members.values()
            if not member.breaker.is_closed
            and member.breaker.reason == UpstreamUnreachable.code
            and member.weight > 0.0
        ]

    def statuses(self) -> list[TargetStatus]:
        """How the targets are: those of configured deployments, or where there are none, those that are not well."""
        now = self._clock.monotonic()
        members = [
            (deployment, member)
            for (deployment, _, _), member in self.members.items()
            if self._known or not member.breaker.is_closed
        ]
        return [_status(deployment, member, now) for deployment, member in members[:_MOST_TOLD]]

    def _add(self, deployment: DeploymentSettings) -> None:
        """Its pool for each family of paths."""
        name, breaker = deployment.name, deployment.breaker
        is_choice = sum(not (target.drain or target.weight == 0) for target in deployment.targets) > 1
        if breaker is None:
            breaker = BreakerSettings() if is_choice else _NO_BREAKER
        members = [self._member(deployment, target, breaker) for target in sorted(deployment.targets, key=_priority)]
        if len(members) == 1 and members[0].weight > 0.0 and breaker is _NO_BREAKER:
            for family, serving in self._serving.items():
                self._pools[family][name] = TargetPool(
                    [one.target for one in members if one.target.upstream in serving]
                )
            return
        policy = PoolPolicy(deployment, self._clock)
        for member in members:
            key = (name, member.target.upstream, member.target.deployment or "")
            self.health[key], self.members[key] = member.health, member
        for family, serving in self._serving.items():
            served = [member for member in members if member.target.upstream in serving]
            self._pools[family][name] = TargetPool([member.target for member in served], policy, served)

    def _member(self, deployment: DeploymentSettings, settings: TargetSettings, breaker: BreakerSettings) -> PoolTarget:
        there = settings.deployment or deployment.name
        health = self._inherited.get((deployment.name, settings.upstream, there))
        if health is None:
            health = TargetHealth(breaker)
        else:
            self._breakers.append((health, breaker))
        target = Target(
            settings.upstream, there, settings.model, settings.sku, deployment.on_client_gone, settings.api_version
        )
        return PoolTarget(target, settings, health)

    def _forget(self) -> None:
        """All names that callers have made up."""
        self.health.clear()
        self.members.clear()
        for pools in self._pools.values():
            pools.clear()

    def _understanding(self, family: PathFamily) -> tuple[str, ...]:
        serving = self._serving[family]
        if not serving:
            raise UnknownRoute("No upstream of this gateway understands this path; the paths of another API may do.")
        return serving

    def _explain(self, deployment: str) -> str:
        meant = nearest(deployment[:80], self._known)
        hint = f" Did you mean `{meant}`?" if meant else ""
        return (
            f"The deployment `{deployment[:80]}` does not exist on this gateway.{hint} "
            "Ask for one of its deployments, or have it added as [[deployments]]."
        )


@lru_cache(maxsize=4096)
def _everywhere(deployment: str | None, *upstreams: str) -> TargetPool:
    return TargetPool([Target(name, deployment) for name in upstreams])


def _status(deployment: str, member: PoolTarget, now: float) -> TargetStatus:
    breaker, health = member.breaker, member.health
    return TargetStatus(
        deployment,
        member.target.upstream,
        member.target.deployment or "",
        member.priority,
        member.weight,
        _STATES[breaker.state],
        breaker.reason if not breaker.is_closed else None,
        round(breaker.wait(now), 3),
        health.calls,
        health.failovers,
        health.spillovers,
        breaker.trips,
    )


def _priority(target: TargetSettings) -> int:
    return target.priority


def _not_by_this_path(deployment: str) -> str:
    return (
        f"The deployment `{deployment}` is on no upstream that understands this path; call it by the API of its model."
    )
