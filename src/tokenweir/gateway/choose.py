"""Where a call may go, best first."""

from ..apis import surface_of
from ..deployments import Catalogue
from ..errors import InvalidBody
from .request import Candidates, Request

__all__ = ["choose"]


def choose(request: Request, catalogue: Catalogue) -> Candidates:
    """The targets for what was asked. Raises as ``Catalogue.targets`` does, and ``InvalidBody`` where a model must be
    named."""
    route = request.address.route
    name = route.deployment
    if name is None and route.family in ("v1", "anthropic"):
        name = request.model
        if name is None and surface_of(route.api).needs_model:
            raise InvalidBody("The body must name a `model`: on this path it says which deployment is meant.")
    elif name is None and route.is_metered and not surface_of(route.api).has_deployment_path:
        name = request.model
    return Candidates(catalogue.targets(name, route.family))
