"""What callers may ask for, and the places it can be served from, best first. Pure decisions."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import get_args

from ..errors import UnknownDeployment, UnknownRoute, nearest
from ..providers import PROVIDERS, ProviderKind
from ..records import PathFamily
from .settings import DeploymentSettings, Target

__all__ = ["Catalogue"]


class Catalogue:
    """Deployment names → targets in the order to try them. ``upstreams``: the name of each, and its kind.

    Without any ``[[deployments]]`` every name is passed on as it is, to the upstreams in the order of the file. A call
    only goes where its path is understood.
    """

    def __init__(self, deployments: Sequence[DeploymentSettings], upstreams: Mapping[str, ProviderKind]) -> None:
        self._upstreams = tuple(upstreams)
        self._serving: dict[PathFamily, tuple[str, ...]] = {
            family: tuple(name for name, kind in upstreams.items() if PROVIDERS[kind].serves(family))
            for family in get_args(PathFamily)
        }
        self._targets = {
            family: {deployment.name: _targets(deployment, serving) for deployment in deployments}
            for family, serving in self._serving.items()
        }
        self._known = [deployment.name for deployment in deployments]

    def __repr__(self) -> str:
        return f"<Catalogue {self}>"

    def __str__(self) -> str:
        """For a person."""
        return f"{len(self._known) or 'any'} deployments on {', '.join(self._upstreams)}"

    def targets(self, deployment: str | None, family: PathFamily) -> tuple[Target, ...]:
        """Where a call can go, best first; at least one. Raises ``UnknownDeployment`` naming what there is, or
        ``UnknownRoute`` where no upstream understands the path.

        A path without a deployment (files, models) belongs to the first upstream alone that understands it: what it
        addresses lives there, unless it was made by a call to a deployment (`holders`).
        """
        if deployment is not None and self._known:
            found = self._targets[family].get(deployment)
            if found:
                return found
            raise UnknownDeployment(self._explain(deployment) if found is None else _not_by_this_path(deployment))
        serving = self._understanding(family)
        return _everywhere(None, serving[0]) if deployment is None else _everywhere(deployment, *serving)

    def holders(self, family: PathFamily) -> tuple[Target, ...]:
        """Who may have what a path names by its id. Raises ``UnknownRoute``."""
        return _everywhere(None, *self._understanding(family))

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
def _everywhere(deployment: str | None, *upstreams: str) -> tuple[Target, ...]:
    return tuple(Target(name, deployment) for name in upstreams)


def _targets(deployment: DeploymentSettings, upstreams: Sequence[str]) -> tuple[Target, ...]:
    """Those on ``upstreams``, best first."""
    return tuple(
        Target(
            target.upstream, target.deployment or deployment.name, target.model, target.sku, deployment.on_client_gone
        )
        for target in sorted(deployment.targets, key=lambda target: target.priority)
        if target.upstream in upstreams
    )


def _not_by_this_path(deployment: str) -> str:
    return (
        f"The deployment `{deployment}` is on no upstream that understands this path; call it by the API of its model."
    )
