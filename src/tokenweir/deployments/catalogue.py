"""What callers may ask for, and the places it can be served from, best first. Pure decisions."""

from collections.abc import Sequence
from difflib import get_close_matches
from functools import lru_cache

from ..errors import UnknownDeployment
from .settings import DeploymentSettings, Target, TargetSettings

__all__ = ["Catalogue"]


class Catalogue:
    """Deployment names → targets in the order to try them.

    Without any ``[[deployments]]`` every name is passed on as it is, to the upstreams in the order of the file.
    """

    def __init__(self, deployments: Sequence[DeploymentSettings], upstreams: Sequence[str]) -> None:
        self._upstreams = upstreams
        self._first = (Target(upstreams[0], None),)
        self._targets = {
            deployment.name: tuple(
                _target(deployment, target) for target in sorted(deployment.targets, key=lambda target: target.priority)
            )
            for deployment in deployments
        }

    def __repr__(self) -> str:
        return f"<Catalogue {self}>"

    def __str__(self) -> str:
        """For a person."""
        return f"{len(self._targets) or 'any'} deployments on {', '.join(self._upstreams)}"

    def targets(self, deployment: str | None) -> tuple[Target, ...]:
        """Where a call can go, best first. Raises ``UnknownDeployment`` naming what there is.

        A path without a deployment (files, models) belongs to the first upstream alone: what it
        addresses lives there.
        """
        if deployment is None:
            return self._first
        if not self._targets:
            return _everywhere(deployment, *self._upstreams)
        found = self._targets.get(deployment)
        if found is None:
            raise UnknownDeployment(self._explain(deployment))
        return found

    def _explain(self, deployment: str) -> str:
        nearest = get_close_matches(deployment[:80], self._targets, n=1)
        hint = f" Did you mean `{nearest[0]}`?" if nearest else ""
        return (
            f"The deployment `{deployment[:80]}` does not exist on this gateway.{hint} "
            "Ask for one of its deployments, or have it added as [[deployments]]."
        )


@lru_cache(maxsize=4096)
def _everywhere(deployment: str, *upstreams: str) -> tuple[Target, ...]:
    return tuple(Target(name, deployment) for name in upstreams)


def _target(deployment: DeploymentSettings, target: TargetSettings) -> Target:
    name = target.deployment or deployment.name
    return Target(target.upstream, name, target.model, target.sku, deployment.on_client_gone)
