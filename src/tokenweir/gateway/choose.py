"""Where a call may go, best first."""

from collections.abc import Sequence

from ..deployments import Catalogue, Target
from ..errors import InvalidBody
from .permit import permitted_targets
from .request import Candidates, Request

__all__ = ["choose"]


def choose(request: Request, catalogue: Catalogue) -> Candidates:
    """The targets for what was asked. Raises as ``Catalogue.targets`` does, ``InvalidBody`` where a model must be
    named, and ``NotPermitted`` where the caller may use none of them."""
    address = request.address
    route = address.route
    if route.job_id is not None:
        return Candidates(catalogue.holders(route.family))
    name = route.deployment
    if route.operation == "fine_tuning/jobs":
        pass  # its model is none of the deployments, and its files lie where all files do
    elif name is None and route.family in ("v1", "anthropic", "foundry"):
        name = request.model
        if name is None and address.surface.needs_model:
            raise InvalidBody("The body must name a `model`: on this path it says which deployment is meant.")
    elif name is None and address.is_metered and not address.surface.has_deployment_path:
        name = request.model
    targets: Sequence[Target] = catalogue.targets(name, route.family)
    if request.permissions is not None:
        targets = permitted_targets(request, name, targets, request.permissions)
    return Candidates(targets)
