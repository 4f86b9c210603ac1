"""Whether a caller may use what it asks for. Only who has lists of what it may use comes here."""

from collections.abc import Sequence

from ..apis import JOB_KINDS, METERED
from ..deployments import Target
from ..errors import NotPermitted
from ..policy import Permissions
from .request import Request
from .routes import READS

__all__ = ["permit_surface", "permitted_targets"]

_COLLECTIONS = frozenset(kind.path for kind in JOB_KINDS) | frozenset(METERED["openai"])
_ASK = "Ask whoever runs this gateway for more."


def permit_surface(request: Request, permissions: Permissions) -> None:
    """As soon as the head is read. Raises ``NotPermitted``."""
    surface = _surface_of(request)
    if not permissions.may_list and _lists_what_is_kept(request):
        raise NotPermitted(
            f"Lists of `{request.address.route.tail}` are refused here: all callers of this gateway would see each "
            "other's. Ask for what you have made by its id."
        )
    if permissions.surfaces is not None and not permissions.surfaces.holds(surface):
        raise NotPermitted(f"This caller may not use `{surface}`; it may use: {permissions.surfaces}. {_ASK}")


def permitted_targets(
    request: Request, name: str | None, targets: Sequence[Target], permissions: Permissions
) -> Sequence[Target]:
    """Those of the targets that the caller may use, at least one. ``name``: the deployment that was asked for. Raises
    ``NotPermitted``."""
    if not permissions.names_models:
        return targets
    if name is None:
        _permit_nameless(request, permissions)
        return targets
    deployments, models = permissions.deployments, permissions.models
    if deployments is not None and not deployments.holds(name):
        raise NotPermitted(f"This caller may not use deployment `{name}`; it may use: {deployments}. {_ASK}")
    if models is None:
        return targets
    allowed = [target for target in targets if models.holds(target.model or target.deployment or name)]
    if not allowed:
        raise NotPermitted(f"This caller may not use the model behind `{name}`; it may use: {models}. {_ASK}")
    return allowed


def _permit_nameless(request: Request, permissions: Permissions) -> None:
    """What names no deployment may use one all the same: the lines of a batch, the runs of an assistant, the messages
    on a WebSocket. Reading uses none, nor does what nobody is billed for, nor what concerns a job that was made."""
    address, surface = request.address, _surface_of(request)
    is_billed = not address.is_metered or bool(address.surface.units)
    reads = request.head.method in READS and not address.is_socket
    if reads or not is_billed or address.route.job_id is not None:
        return
    if address.is_socket or permissions.surfaces is None or surface not in permissions.surfaces.patterns:
        raise NotPermitted(
            f"`{surface}` does not say which deployment will be used, and this caller may use only some. {_ASK} "
            f"(`surfaces` of its group has to name `{surface}`.)"
        )


def _lists_what_is_kept(request: Request) -> bool:
    """Reading a path without an id. Which models there are is nobody's secret."""
    route = request.address.route
    is_read = request.head.method in (b"GET", b"HEAD") and not request.address.is_socket
    return is_read and route.operation != "models" and (route.tail == route.operation or route.tail in _COLLECTIONS)


def _surface_of(request: Request) -> str:
    route = request.address.route
    return route.api if route.api != "other" else route.operation
