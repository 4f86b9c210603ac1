"""The gateway as one Azure Function: whatever comes in below ``openai/`` goes through it and is metered.

The answer is not built here. What the function returns is a response that, when the host sends it, hands the host's
own send and receive to the gateway: chunks pass as they arrive, and a client that leaves is noticed.
"""

from typing import Any

import azure.functions as func
from azurefunctions.extensions.http.fastapi import Request, Response

from tokenweir.serve.hosted import HostedGateway

# Callers show a Functions key (FUNCTION below), so that they need none of the gateway's.
gateway = HostedGateway(has_disk=False, is_guarded=True)

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)

# The platform's own header lines end here. Some hold the Functions key: as it is, or in a copy of the URL.
PLATFORM = (b"client-ip", b"disguised-host", b"max-forwards", b"was-default-hostname", b"x-appservice-", b"x-arr-")
PLATFORM += (b"x-functions-", b"x-ms-invocation-id", b"x-original-url", b"x-site-deployment-id", b"x-waws-")


class Relayed(Response):
    """The gateway's answer to a request, whatever prefix the host has put before its path."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path: bytes = scope.get("raw_path") or scope["path"].encode()
        _, found, rest = path.partition(b"/openai/")
        query = b"&".join(part for part in scope["query_string"].split(b"&") if not part.startswith(b"code="))
        headers = [(name, value) for name, value in scope["headers"] if not name.lower().startswith(PLATFORM)]
        asked = {"raw_path": found + rest or path, "root_path": "", "query_string": query, "headers": headers}
        await gateway({**scope, **asked}, receive, send)


@app.route(route="openai/{*path}", methods=list(func.HttpMethod))
async def relay(req: Request) -> Response:
    return Relayed()
