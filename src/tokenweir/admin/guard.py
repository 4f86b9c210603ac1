"""Who may ask at all: whoever has the admin token or, where there is none, whoever is on this machine.

A page on the web is neither, though the browser that shows it may be on this machine, and may have the token. Browsers
say where a request comes from (``Sec-Fetch-Site``, ``Origin``), and ask before they send JSON to another site, to
which nobody here agrees; so what is sent has to be JSON.
"""

import hmac
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from .openapi import OWN
from .responses import error_response

__all__ = ["Guard", "is_stranger"]

_JSON = "application/json"
_READS = ("GET", "HEAD", "OPTIONS")

_NOT_CROSS_SITE = ("same-origin", "none")
"""What ``Sec-Fetch-Site`` says of requests of our own pages, and of those that a person typed."""

_SECRETS = "/listSecrets"
"""The end of a path that is asked by POST, without a body, and changes nothing."""

_OPEN = ("/healthz", "/readyz")
"""Need no token, as probes of Kubernetes and Container Apps keep none secret; without it only the status is told."""


def is_stranger(scope: Scope) -> bool:
    """Whether an open path is asked by somebody who would get no answer anywhere else."""
    return bool(scope.get("state", {}).get("is_stranger"))


class Guard:
    """ASGI middleware in front of every route."""

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode() if token else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_own = scope["type"] == "http" and scope["path"].startswith(OWN)
        refusal = (_refusal_of_sites if is_own else self._refusal)(scope) if scope["type"] == "http" else None
        if refusal is not None and scope["path"] in _OPEN:
            scope.setdefault("state", {})["is_stranger"] = True
            refusal = None
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> ASGIApp | None:
        if self._expected is not None and not hmac.compare_digest(_authorization(scope), self._expected):
            return error_response(
                401,
                "unauthorized",
                "give the admin token (server.admin_token) as `Authorization: Bearer`",
                {"WWW-Authenticate": "Bearer"},
            )
        if self._expected is None and not _is_asked_locally(scope):
            return error_response(
                421, "not_local", "without a server.admin_token, ask by the name localhost or 127.0.0.1"
            )
        return _refusal_of_sites(scope)


def _refusal_of_sites(scope: Scope) -> ASGIApp | None:
    """What a browser sends for a page of somebody else, and what such a page could send without being asked."""
    headers = Headers(scope=scope)
    origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
    # A link to here may be anywhere. What it opens, the page with the link does not see.
    is_link = scope["method"] == "GET" and headers.get("sec-fetch-mode") == "navigate"
    is_foreign = site not in _NOT_CROSS_SITE or (
        origin is not None and _host_of(origin) != headers.get("host", "").lower()
    )
    if is_foreign and not is_link:
        return error_response(403, "cross_site", "a page of another site may not ask this port")
    is_read = scope["method"] in _READS or scope["path"].endswith(_SECRETS)
    if not is_read and headers.get("content-type", "").partition(";")[0].strip().lower() != _JSON:
        return error_response(415, "unsupported_media_type", f"send the body with `Content-Type: {_JSON}`")
    return None


def _host_of(origin: str) -> str | None:
    """The host and port of an origin, as a ``Host`` line has them; ``None`` for the origin of nobody, ``null``."""
    scheme, _, host = origin.partition("://")
    return host.lower() if scheme in ("http", "https") else None


def _authorization(scope: Scope) -> bytes:
    return Headers(scope=scope).get("authorization", "").encode("latin-1")


def _is_asked_locally(scope: Scope) -> bool:
    """Whether the browser thinks so, too: a page on the web can point a name of its own at this machine."""
    try:
        name = urlsplit(f"//{Headers(scope=scope).get('host', '')}").hostname or ""
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False
