"""Who may ask at all: whoever has the admin token or, where there is none, whoever is on this machine."""

import hmac
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from .answering import error_answer

__all__ = ["Guard"]

_OPEN = "/healthz"
"""Needs no token: it tells a stranger nothing."""


class Guard:
    """ASGI middleware in front of every route."""

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode() if token else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] == _OPEN:
            answer: ASGIApp = self._app
        elif self._expected is not None and not hmac.compare_digest(_authorization(scope), self._expected):
            answer = error_answer(
                401,
                "unauthorized",
                "give the admin token (server.admin_token) as `Authorization: Bearer`",
                {"WWW-Authenticate": "Bearer"},
            )
        elif self._expected is None and not _is_asked_locally(scope):
            answer = error_answer(
                421, "not_local", "without a server.admin_token, ask by the name localhost or 127.0.0.1"
            )
        else:
            answer = self._app
        await answer(scope, receive, send)


def _authorization(scope: Scope) -> bytes:
    return Headers(scope=scope).get("authorization", "").encode("latin-1")


def _is_asked_locally(scope: Scope) -> bool:
    """Whether the browser thinks so, too: a page on the web can point a name of its own at this machine."""
    try:
        name = urlsplit(f"//{Headers(scope=scope).get('host', '')}").hostname or ""
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False
