"""The admin port: usage, calls, queries, metrics and health, over the ledger. Starlette, in the books process."""

import hmac
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ..errors import QueryError, TokenweirError
from ..ledger import Ledger, parse_moment, unknown_name
from ..records import Clock
from .health import readiness
from .metrics import Metrics
from .openapi import document
from .relays import RelayStatus

__all__ = ["create_app"]

_log = logging.getLogger(__name__)

_MOST_CALLS = 10_000
_MOST_QUERY_BYTES = 256 * 1024

_encode = msgspec.json.Encoder(decimal_format="string").encode

Handler = Callable[[Request], Awaitable[Response]]


def create_app(
    ledger: Ledger,
    *,
    catch_up: Callable[[], object],
    metrics: Metrics,
    token: str | None,
    relays: Callable[[], list[RelayStatus]],
    expected_relays: int,
    clock: Clock,
) -> ASGIApp:
    """The application. ``catch_up`` posts what the journals hold, before every answer that reads the ledger,
    so that a call can be found as soon as its record is on disk. Blocking work runs in threads."""
    desk = _Desk(ledger, catch_up, metrics, relays, expected_relays, clock)
    routes = [
        Route("/api/calls", desk.calls),
        Route("/api/calls/{call_id}", desk.call),
        Route("/api/usage", desk.usage),
        Route("/api/query", desk.query, methods=["POST"]),
        Route("/api/relays", desk.relays),
        Route("/api/openapi.json", desk.openapi),
        Route("/metrics", desk.metrics),
        Route("/healthz", desk.healthz),
        Route("/readyz", desk.readyz),
    ]
    handlers: dict[Any, Any] = {HTTPException: _http_error, TokenweirError: _our_error}
    app = Starlette(routes=routes, exception_handlers=handlers)
    return _TokenRequired(app, token) if token else app


class _Desk:
    """Answers questions."""

    def __init__(
        self,
        ledger: Ledger,
        catch_up: Callable[[], object],
        metrics: Metrics,
        relays: Callable[[], list[RelayStatus]],
        expected_relays: int,
        clock: Clock,
    ) -> None:
        self._ledger = ledger
        self._catch_up = catch_up
        self._metrics = metrics
        self._relays = relays
        self._expected_relays = expected_relays
        self._clock = clock

    async def calls(self, request: Request) -> Response:
        asked = _asked(request.query_params, {"limit", "caller", "since", "until"})
        limit = _limit(asked.get("limit"))
        since, until = self._moment(asked, "since"), self._moment(asked, "until")

        def read() -> Any:
            self._catch_up()
            return self._ledger.calls(limit, caller=asked.get("caller"), since=since, until=until)

        return _json(await run_sync(read))

    async def call(self, request: Request) -> Response:
        call_id = request.path_params["call_id"]

        def read() -> Any:
            self._catch_up()
            return self._ledger.call(call_id)

        found = await run_sync(read)
        if found is None:
            return _error(404, "unknown_call", f"there is no call {call_id[:80]!r} in the ledger")
        return _json(found)

    async def usage(self, request: Request) -> Response:
        asked = _asked(request.query_params, {"by", "since", "until"})
        by = [name.strip() for name in asked.get("by", "caller").split(",") if name.strip()]
        since, until = self._moment(asked, "since"), self._moment(asked, "until")

        def read() -> Any:
            self._catch_up()
            return self._ledger.usage(by, since, until)

        return _json(await run_sync(read))

    async def query(self, request: Request) -> Response:
        body = await request.body()
        if len(body) > _MOST_QUERY_BYTES:
            raise QueryError(f"the query is longer than {_MOST_QUERY_BYTES} bytes")
        try:
            asked = msgspec.json.decode(body, type=dict[str, str])
        except msgspec.DecodeError as error:
            raise QueryError(f'the body must be {{"kql": "…"}} or {{"sql": "…"}}: {error}') from error
        if list(asked) not in (["kql"], ["sql"]):
            raise QueryError('the body must have exactly one of "kql" and "sql"')

        def read() -> Any:
            self._catch_up()
            return self._ledger.query_kql(asked["kql"]) if "kql" in asked else self._ledger.query_sql(asked["sql"])

        return _json(await run_sync(read))

    async def relays(self, request: Request) -> Response:
        return _json(await run_sync(self._relays))

    async def openapi(self, request: Request) -> Response:
        return _json(document())

    async def metrics(self, request: Request) -> Response:
        text = await run_sync(self._metrics.exposition)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    async def healthz(self, request: Request) -> Response:
        return _json({"status": "ok"})

    async def readyz(self, request: Request) -> Response:
        def look() -> Any:
            try:
                self._catch_up()
            except TokenweirError as error:
                return readiness(self._relays(), self._expected_relays, str(error))
            return readiness(self._relays(), self._expected_relays, None)

        checks = await run_sync(look)
        return _json({"checks": checks}, 200 if all(check.ok for check in checks) else 503)

    def _moment(self, asked: dict[str, str], name: str) -> Any:
        return parse_moment(asked[name], self._clock.now()) if name in asked else None


class _TokenRequired:
    """Asks for the admin token on every route but ``/healthz``, which tells a stranger nothing."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = b"Bearer " + token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = dict(scope.get("headers", [])).get(b"authorization", b"")
        if scope["type"] != "http" or scope["path"] == "/healthz" or hmac.compare_digest(given, self._expected):
            await self._app(scope, receive, send)
            return
        refusal = _error(401, "unauthorized", "give the admin token (server.admin_token) as `Authorization: Bearer`")
        await refusal(scope, receive, send)


def _asked(parameters: QueryParams, known: set[str]) -> dict[str, str]:
    for name in parameters:
        if name not in known:
            raise QueryError(unknown_name("parameter", name, sorted(known)))
    return dict(parameters)


def _limit(text: str | None) -> int:
    if text is None:
        return 50
    if not text.isdecimal() or not 1 <= int(text) <= _MOST_CALLS:
        raise QueryError(f"limit must be a number from 1 to {_MOST_CALLS}, not {text[:20]!r}")
    return int(text)


def _json(value: Any, status: int = 200) -> Response:
    return Response(_encode(value), status, media_type="application/json")


def _error(status: int, code: str, message: str) -> Response:
    return _json({"error": {"message": message, "code": code}}, status)


async def _http_error(request: Request, error: HTTPException) -> Response:
    if error.status_code == 404:
        return _error(404, "unknown_route", "nothing is at this path; /api/openapi.json lists what there is")
    return _error(error.status_code, "refused", str(error.detail))


async def _our_error(request: Request, error: TokenweirError) -> Response:
    if isinstance(error, QueryError):
        return _error(400, "invalid_query", str(error))
    _log.error("the admin port could not answer: %s", error)
    return _error(503, "unavailable", str(error))
