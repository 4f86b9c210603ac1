"""Where a call may go."""

from ..deployments import Candidates, Catalogue
from ..errors import InvalidBody
from .permit import permitted_targets
from .request import Request

__all__ = ["choose"]

# Of a body that is kept in pieces: the prompt begins somewhere there.
_FIRST_PIECES = 4


def choose(request: Request, catalogue: Catalogue) -> Candidates:
    """The targets for what was asked. Raises as ``Catalogue.pool`` does, ``InvalidBody`` where a model must be named,
    and ``NotPermitted`` where the caller may use none of them."""
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
    pool = catalogue.pool(name, route.family)
    if request.permissions is not None:
        pool = pool.only(permitted_targets(request, name, pool.targets, request.permissions))
    affinity = pool.policy.affinity if pool.policy is not None else None
    if affinity is None:
        return Candidates(pool)
    body = request.body if request.pieces is None else b"".join(request.pieces[:_FIRST_PIECES])
    return Candidates(pool, affinity.key(request.head.fields, body))
