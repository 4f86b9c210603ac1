"""Where a call may go, best first."""

from ..deployments import Catalogue
from ..errors import InvalidBody
from .request import Candidates, Request

__all__ = ["choose"]


def choose(request: Request, catalogue: Catalogue) -> Candidates:
    """The targets for what was asked. Raises as ``Catalogue.targets`` does, and ``InvalidBody`` where a model must be
    named."""
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
    return Candidates(catalogue.targets(name, route.family))
