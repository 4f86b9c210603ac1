"""Which surface and route a request means: Azure's dated addresses, Azure's ``/openai/v1``, OpenAI's own ``/v1``,
Anthropic's in Foundry, and whole paths of surfaces that have their own."""

import re
from typing import Any, Literal

import msgspec

from .failures import Refused
from .forms import form_of
from .request import ReceivedRequest
from .surface import SimulatedCall, SimulatedRoute, SimulatedSurface
from .surfaces import OTHER, SURFACES

__all__ = ["is_anthropic", "route"]


class _Root(msgspec.Struct, frozen=True):
    """What stands in front of an operation, and how it is spoken to there."""

    pattern: re.Pattern[str]
    azure: bool
    versioned: bool = False
    """Whether ``api-version`` has to be given."""
    anthropic: bool = False


# The first that fits.
_ROOTS = (
    _Root(re.compile(r"/openai/v1/(?P<operation>.+)"), azure=True),
    _Root(re.compile(r"/anthropic/v1/(?P<operation>.+)"), azure=True, anthropic=True),
    _Root(re.compile(r"/api/projects/[^/]+/openai/v1/(?P<operation>.+)"), azure=True),
    _Root(re.compile(r"/api/projects/[^/]+/agents/[^/]+/endpoint/protocols/openai/(?P<operation>.+)"), azure=True),
    _Root(re.compile(r"/models/(?P<operation>.+)"), azure=True),
    _Root(re.compile(r"/v1/(?P<operation>.+)"), azure=False),
    _Root(re.compile(r"/openai/deployments/(?P<deployment>[^/]+)/(?P<operation>.+)"), azure=True, versioned=True),
    _Root(re.compile(r"/openai/(?P<operation>.+)"), azure=True, versioned=True),
)
_ANTHROPIC = _ROOTS[1].pattern
_NAME = re.compile(r"\\\{(\w+)\\\}")

_OBJECT = msgspec.json.Decoder(dict[str, Any])

_Found = tuple[SimulatedSurface, SimulatedRoute]
_Space = Literal["openai", "anthropic", "whole path"]

_EXACT: dict[tuple[_Space, str], dict[str, _Found]] = {}
_PATTERNS: dict[_Space, list[tuple[re.Pattern[str], dict[str, _Found]]]] = {
    "openai": [],
    "anthropic": [],
    "whole path": [],
}


def _enter(surface: SimulatedSurface, route: SimulatedRoute) -> None:
    space: _Space = "whole path" if route.path.startswith("/") else surface.root
    found = _EXACT.setdefault((space, route.path), {})
    found[route.method] = surface, route
    if "{" in route.path and len(found) == 1:
        pattern = re.compile(_NAME.sub(r"(?P<\1>[^/]+)", re.escape(route.path)))
        _PATTERNS[space].append((pattern, found))


for _surface in SURFACES:
    for _route in _surface.routes:
        _enter(_surface, _route)


def route(request: ReceivedRequest) -> SimulatedCall:
    """Raises Refused (404, 405, 400) as Azure does."""
    version = request.query.get("api-version")
    if (found := _methods("whole path", request.path)) is not None:
        return _call(request, request.path, found, azure=True, version=version)
    for root in _ROOTS:
        if (match := root.pattern.fullmatch(request.path)) is not None:
            break
    else:
        raise Refused.not_found()
    if root.versioned and not version:
        raise Refused.not_found()
    operation = match["operation"]
    found = _methods("anthropic" if root.anthropic else "openai", operation)
    if found is None and root.anthropic:
        raise Refused.not_found()
    return _call(
        request,
        operation,
        found,
        azure=root.azure,
        anthropic=root.anthropic,
        version=version if root.azure else None,
        deployment=match.groupdict().get("deployment"),
    )


def is_anthropic(path: str) -> bool:
    """Whether answers at ``path`` are in Anthropic's words."""
    return _ANTHROPIC.fullmatch(path) is not None


def _methods(space: _Space, path: str) -> tuple[dict[str, _Found], dict[str, str]] | None:
    """Who answers at a path, by method, and what stands in it; None: nobody."""
    if (found := _EXACT.get((space, path))) is not None:
        return found, {}
    for pattern, found in _PATTERNS[space]:
        if (match := pattern.fullmatch(path)) is not None:
            return found, match.groupdict()
    return None


def _call(
    request: ReceivedRequest,
    operation: str,
    found: tuple[dict[str, _Found], dict[str, str]] | None,
    *,
    azure: bool,
    version: str | None,
    anthropic: bool = False,
    deployment: str | None = None,
) -> SimulatedCall:
    methods, parameters = found or ({}, {})
    method = "GET" if request.method == "HEAD" else request.method
    if methods and method not in methods:
        allowed = " or ".join(sorted(methods))
        raise Refused(405, {"code": "405", "message": f"{request.method} is not allowed here; use {allowed}"})
    surface, route = methods.get(method) or (OTHER, OTHER.routes[0])
    body = _body(request, route)
    if route.body != "any":
        model = body.get("model")
        deployment = deployment or (model if isinstance(model, str) else None)
        if deployment is None and route.needs_model:
            raise Refused.bad_request("you must provide a model parameter", "model")
    return SimulatedCall(
        request=request,
        surface=surface,
        route=route,
        operation=operation,
        azure=azure,
        anthropic=anthropic,
        parameters=parameters,
        deployment=deployment,
        api_version=version,
        body=body,
    )


def _body(request: ReceivedRequest, route: SimulatedRoute) -> dict[str, Any]:
    """Raises Refused (400) where it is not what the route reads."""
    if route.body == "any":
        return {}
    try:
        content_type = request.headers.get("content-type", "")
        if route.body == "json" or content_type.startswith("application/json"):
            return _OBJECT.decode(request.body)
        form = form_of(content_type, request.body)
        return form | {"stream": form.get("stream") == "true"}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        what = "JSON body" if route.body == "json" else "form"
        raise Refused.bad_request(f"We could not parse the {what} of your request: {error}") from error
