"""The gateway as one Azure Function: whatever comes in below ``openai/`` goes through it and is metered.

The answer is not built here. What the function returns is a response that, when the host sends it, hands the host's
own send and receive to the gateway: chunks pass as they arrive, and a client that leaves is noticed.
"""

from typing import Any

import azure.eventhub.aio  # noqa: F401 - half a second, for which the first caller would wait
import azure.functions as func
from azurefunctions.extensions.http.fastapi import Request, Response

from tokenweir.serve.asgi_app import GatewayApp
from tokenweir.serve.logs import log_to_host

log_to_host("gateway")

# Callers show a Functions key (FUNCTION below), so that they need none of the gateway's.
gateway = GatewayApp(has_disk=False, is_guarded=True)

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)


class Relayed(Response):
    """The gateway's answer to a request, whatever prefix the host has put before its path."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path: bytes = scope.get("raw_path") or scope["path"].encode()
        _, found, rest = path.partition(b"/openai/")
        # The platform's headers and its key end in the gateway, as everybody's do (docs/reference/requests.md).
        await gateway({**scope, "raw_path": found + rest or path, "root_path": ""}, receive, send)


@app.route(route="openai/{*path}", methods=list(func.HttpMethod))
async def relay(req: Request) -> Response:
    return Relayed()
