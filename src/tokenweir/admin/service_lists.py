"""What Azure Resource Manager tells of an API Management service, for tools that ask before they call: services, APIs,
subscriptions and their keys, of any subscription and group that the path names.

The service is this gateway, its API has the path under which `/api` is served, and a subscription is a caller. Keys are
kept as hashes here, so the one that is handed out is the one that somebody has named for it.
"""

from collections.abc import Callable, Sequence
from typing import Any

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .management import check_api_version
from .openapi import APIS, GROUP_RESOURCES, GROUP_SERVICES, SECRETS, SERVICE, SERVICES, SUBSCRIPTIONS
from .responses import ManagementError, json_response

__all__ = ["ServiceLists"]

_TYPE = "Microsoft.ApiManagement/service"
_NAME = "tokenweir"
_EVERYBODY = "master"
"""API Management's own subscription, which is always the first."""


class ServiceLists:
    """``address`` is the data port's, as configured; ``callers`` are the names of those who have keys; ``key`` is
    handed out to who may ask this port."""

    def __init__(
        self,
        address: tuple[str, int],
        callers: Callable[[], Sequence[str]],
        *,
        api: str = "openai",
        has_tls: bool = False,
        key: str | None = None,
    ) -> None:
        self._host, self._port = address
        self._callers = callers
        self._api = api
        self._scheme = "https" if has_tls else "http"
        self._key = key

    def routes(self) -> list[Route]:
        return [
            Route(GROUP_RESOURCES, self.services),
            Route(SERVICES, self.services),
            Route(GROUP_SERVICES, self.services),
            Route(SERVICE, self.service),
            Route(APIS, self.apis),
            Route(SUBSCRIPTIONS, self.subscriptions),
            Route(SECRETS, self.secrets, methods=["POST"]),
        ]

    async def services(self, request: Request) -> Response:
        return _listed(request, [self._service(request)])

    async def service(self, request: Request) -> Response:
        check_api_version(request)
        return json_response(self._service(request))

    async def apis(self, request: Request) -> Response:
        about = {
            "displayName": "Azure OpenAI",
            # Tools look for "/openai" in it, and put what stands before that between the address and /openai.
            "path": "api/openai",
            "protocols": [self._scheme],
            "apiRevision": "1",
            "isCurrent": True,
            "subscriptionRequired": True,
        }
        return _listed(request, [_resource(_service_id(request), "apis", self._api, about)])

    async def subscriptions(self, request: Request) -> Response:
        names = [_EVERYBODY, *dict.fromkeys(await run_sync(self._callers))]
        about = {"scope": f"{_service_id(request)}/apis/{self._api}", "state": "active"}
        service = _service_id(request)
        return _listed(
            request, [_resource(service, "subscriptions", name, about | {"displayName": name}) for name in names]
        )

    async def secrets(self, request: Request) -> Response:
        check_api_version(request)
        name = request.path_params["caller"]
        if name != _EVERYBODY and name not in await run_sync(self._callers):
            raise ManagementError(404, "ResourceNotFound", f"no caller is called {name[:80]}")
        keys = {} if self._key is None else {"primaryKey": self._key, "secondaryKey": self._key}
        return json_response(keys, headers={"Cache-Control": "no-store"})

    def _service(self, request: Request) -> dict[str, Any]:
        host = self._host
        if host in ("0.0.0.0", "::"):  # whoever reached this port reaches that one by the same name
            host = request.url.hostname or host
        shown = f"[{host}]" if ":" in host else host
        return {
            "id": _service_id(request),
            "name": request.path_params.get("service", _NAME),
            "type": _TYPE,
            "location": "here",
            "sku": {"name": "Developer", "capacity": 1},
            "properties": {
                "gatewayUrl": f"{self._scheme}://{shown}:{self._port}",
                "provisioningState": "Succeeded",
                "publisherName": "Tokenweir",
                "publisherEmail": "nobody@example.com",
            },
        }


def _listed(request: Request, resources: list[dict[str, Any]]) -> Response:
    check_api_version(request)
    return json_response({"value": resources, "count": len(resources)})


def _resource(service: str, kind: str, name: str, about: dict[str, Any]) -> dict[str, Any]:
    return {"id": f"{service}/{kind}/{name}", "name": name, "type": f"{_TYPE}/{kind}", "properties": about}


def _service_id(request: Request) -> str:
    where = request.path_params
    group = f"/subscriptions/{where['subscription']}/resourceGroups/{where.get('group', _NAME)}"
    return f"{group}/providers/{_TYPE}/{where.get('service', _NAME)}"
