"""Whether the models behind deployments will still be there."""

from collections.abc import Iterator
from datetime import date

from ...config import Config
from ...deployments import retirement_of
from ...providers import PROVIDERS
from .check_result import CheckResult, warn

__all__ = ["check_models"]

# Azure tells the owners of a deployment 60 days ahead; another model wants trying out before.
_NEAR_DAYS = 90


def check_models(config: Config, today: date) -> Iterator[CheckResult]:
    """Only of Azure's, whose schedule is known. It may have moved meanwhile, so nothing here is called broken."""
    scheduled = {upstream.name for upstream in config.upstreams if PROVIDERS[upstream.kind].retires_on_schedule}
    for deployment in config.deployments:
        for target in deployment.targets:
            retires = retirement_of(target.model) if target.model and target.upstream in scheduled else None
            if retires is None or (retires - today).days > _NEAR_DAYS:
                continue
            word, effect = ("was to retire", "may fail") if retires <= today else ("retires", "will fail then")
            model = f"{target.model} on {target.upstream}"
            yield warn(
                f"deployment {deployment.name}: {model} {word} on {retires}, and calls {effect}",
                "deploy a newer model there, and name it in the target's `deployment` and `model`",
            )
