"""The admin port's application: each route is a question to ledger, relays or sinks. Runs in the books process."""

from collections.abc import Awaitable, Callable, Collection, Generator, Sequence
from typing import Any, TypeVar

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from ..delivery import SinkStatus
from ..errors import QueryError, TokenweirError, quoted
from ..ledger import MOST_QUERIES, UTC_ZONE, Ledger, Person, Piece, Table, TooManyQueries
from ..limits import LimitState
from ..policy import DebugTokens, Identity, KeyStore
from ..records import CallRecord, Clock
from .accounts import AccountsApi
from .guard import Guard, is_stranger
from .health import Applied, Check, ConfigInForce, LedgerStatus, RelayStatus, readiness, targets_by_relay
from .keys import KeysApi
from .management import Management
from .metrics import Metrics
from .openapi import LIST_DEBUG_CREDENTIALS, LIST_TRACE, document
from .own_usage import OwnUsage
from .params import filters, limit, moment, parameters, query
from .responses import ERROR_HANDLERS, NoLedger, error_response, export_lines, json_response
from .service_lists import ServiceLists
from .upkeep import UpkeepApi

__all__ = ["create_app"]

T = TypeVar("T")

# Threads that questions to the ledger may hold, so that neither kind keeps the other waiting, and neither keeps health
# checks and metrics, which have the threads that all share. Of queries, so many run and wait at once.
_QUERY_THREADS = MOST_QUERIES
_READ_THREADS = 8


def create_app(
    ledger: Ledger | None,
    *,
    catch_up: Callable[[], object],
    bring: Callable[[Sequence[CallRecord]], int],
    erase: Callable[[Person], Awaitable[object]],
    metrics: Metrics,
    token: str | None,
    identify: Callable[[bytes | None], Identity],
    relays: Callable[[], list[RelayStatus]],
    sinks: Callable[[], list[SinkStatus]],
    expected_relays: int,
    debug_tokens: DebugTokens,
    keys: KeyStore,
    groups: Callable[[], Collection[str]],
    ledger_status: Callable[[], LedgerStatus],
    configuration: Callable[[], ConfigInForce],
    limits: Callable[[], list[LimitState]],
    service: ServiceLists,
    accounts: AccountsApi,
    clock: Clock,
) -> Starlette:
    """The application. ``catch_up`` posts what the journals hold, before every answer that reads the ledger,
    so that a call can be found as soon as its record is on disk. ``identify`` says whose a caller's key is. Blocking
    work runs in threads. Without a ledger, questions to it are answered with where to ask instead."""
    api = _Api(ledger, catch_up, metrics, relays, sinks, expected_relays, ledger_status, configuration, clock)
    keys_api = KeysApi(keys, relays, groups, clock)
    management = Management(debug_tokens, api.find, clock)
    upkeep = UpkeepApi(bring, erase)
    own = OwnUsage(identify, api.ask, clock)
    routes = [
        Route("/api/calls", api.calls),
        Route("/api/calls/{call_id}", api.call),
        Route("/api/usage", api.usage),
        Route("/api/verify", api.verify),
        Route("/api/query", api.query, methods=["POST"]),
        Route("/api/export", api.export, methods=["POST"]),
        Route("/api/statement", accounts.statement),
        Route("/api/months", accounts.months),
        Route("/api/months/close", accounts.close, methods=["POST"]),
        Route("/api/months/{month}/verify", accounts.verify),
        Route("/api/rerate", accounts.rate, methods=["POST"]),
        Route("/api/rerate/book", accounts.book, methods=["POST"]),
        Route("/api/rerate/discard", accounts.discard, methods=["POST"]),
        Route("/api/relays", api.relays),
        Route("/api/targets", api.targets),
        Route("/api/limits", answering(limits)),
        Route("/api/sinks", api.sinks),
        Route("/api/config", api.config),
        Route("/api/keys", keys_api.all),
        Route("/api/keys", keys_api.create, methods=["POST"]),
        Route("/api/keys/{key_id}/rotate", keys_api.rotate, methods=["POST"]),
        *(
            Route(f"/api/keys/{{key_id}}/{verb}", keys_api.changing(verb), methods=["POST"])
            for verb in ("revoke", "suspend", "resume")
        ),
        Route("/api/import", upkeep.bring, methods=["POST"]),
        Route("/api/erase", upkeep.erase, methods=["POST"]),
        Route("/api/openapi.json", api.openapi),
        Route(LIST_DEBUG_CREDENTIALS, management.list_debug_credentials, methods=["POST"]),
        Route(LIST_TRACE, management.list_trace, methods=["POST"]),
        *service.routes(),
        Route("/tokenweir/usage", own.usage),
        Route("/tokenweir/calls/{call_id}", own.call),
        Route("/metrics", api.metrics),
        Route("/healthz", api.healthz),
        Route("/readyz", api.readyz),
    ]
    return Starlette(routes=routes, middleware=[Middleware(Guard, token=token)], exception_handlers=ERROR_HANDLERS)


def answering(question: Callable[[], Any]) -> Callable[[Request], Awaitable[Response]]:
    """A route for a question that needs nothing else and takes its time."""

    async def answer(request: Request) -> Response:
        return json_response(await run_sync(question))

    return answer


class _Api:
    """Answers questions, one method per route; `.openapi` describes them."""

    def __init__(
        self,
        ledger: Ledger | None,
        catch_up: Callable[[], object],
        metrics: Metrics,
        relays: Callable[[], list[RelayStatus]],
        sinks: Callable[[], list[SinkStatus]],
        expected_relays: int,
        ledger_status: Callable[[], LedgerStatus],
        configuration: Callable[[], ConfigInForce],
        clock: Clock,
    ) -> None:
        self._ledger = ledger
        self._catch_up = catch_up
        self._metrics = metrics
        self._relays = relays
        self._sinks = sinks
        self._expected_relays = expected_relays
        self._ledger_status = ledger_status
        self._configuration = configuration
        self._clock = clock
        self._reading = CapacityLimiter(_READ_THREADS)
        self._verifying = CapacityLimiter(1)
        self._querying = CapacityLimiter(_QUERY_THREADS)

    async def calls(self, request: Request) -> Response:
        given = parameters(request, "/api/calls")
        now = self._clock.now()
        most, since, until = limit(given), moment(given, "since", now), moment(given, "until", now)
        caller = given.get("caller")
        return json_response(
            await self._read(lambda ledger: ledger.calls(most, caller=caller, since=since, until=until))
        )

    async def call(self, request: Request) -> Response:
        call_id = request.path_params["call_id"]
        found = await self.find(call_id)
        if found is None:
            return error_response(404, "unknown_call", f"there is no call {quoted(call_id[:80])} in the ledger")
        return json_response(found)

    async def find(self, call_id: str) -> dict[str, Any] | None:
        return await self._read(lambda ledger: ledger.call(call_id))

    async def usage(self, request: Request) -> Response:
        given = parameters(request, "/api/usage")
        now = self._clock.now()
        since, until = moment(given, "since", now), moment(given, "until", now)
        by = [name.strip() for name in given.get("by", "caller").split(",") if name.strip()]
        only, timezone = filters(given), given.get("timezone", UTC_ZONE)
        return json_response(
            await self._read(lambda ledger: ledger.usage(by, since, until, only=only, timezone=timezone))
        )

    async def verify(self, request: Request) -> Response:
        given = parameters(request, "/api/verify")
        now = self._clock.now()
        since, until, head = moment(given, "since", now), moment(given, "until", now), given.get("head")
        return json_response(await self._read(lambda ledger: ledger.verify(since, until, head), self._verifying))

    async def query(self, request: Request) -> Response:
        language, text = await query(request)

        def ask(ledger: Ledger) -> Table:
            return ledger.query_kql(text) if language == "kql" else ledger.query_sql(text)

        if not self._querying.available_tokens:
            raise TooManyQueries
        return json_response(await self._read(ask, self._querying))

    async def export(self, request: Request) -> Response:
        language, text = await query(request)

        def begin(ledger: Ledger) -> tuple[Piece, Generator[Piece]]:
            pieces = ledger.all_rows(language, text)
            return next(pieces), pieces  # what is wrong with the query shows here, before anything is answered

        if not self._querying.available_tokens:
            raise TooManyQueries
        first, rest = await self._read(begin, self._querying)
        return StreamingResponse(export_lines(first, rest), media_type="application/x-ndjson")

    async def relays(self, request: Request) -> Response:
        return json_response(await run_sync(self._relays))

    async def targets(self, request: Request) -> Response:
        return json_response(targets_by_relay(await run_sync(self._relays)))

    async def sinks(self, request: Request) -> Response:
        return json_response(await run_sync(self._sinks))

    async def config(self, request: Request) -> Response:
        return json_response(await run_sync(self._config))

    def _config(self) -> dict[str, Any]:
        config = self._configuration()
        late = "it was not reloaded yet, or could not be; its log says why"
        same = {one.name: one.gauges.get("config_digest") == config.digest for one in self._relays() if one.fresh}
        relays = [Applied(name, is_same, None if is_same else late) for name, is_same in same.items()]
        return {"source": config.source, "lines": config.lines, "relays": relays}

    async def openapi(self, request: Request) -> Response:
        return json_response(document())

    async def metrics(self, request: Request) -> Response:
        text = await run_sync(self._metrics.exposition)
        return Response(text, media_type=CONTENT_TYPE_PLAIN_0_0_4)

    async def healthz(self, request: Request) -> Response:
        return json_response({"status": "ok"})

    async def readyz(self, request: Request) -> Response:
        excluded = parameters(request, "/readyz").get("exclude", "")
        if excluded not in ("", "ledger"):
            raise QueryError(f"exclude must be `ledger`, not {quoted(excluded[:20])}")
        checks = await run_sync(self._checks_of_calls if excluded else self._checks)
        status = 200 if all(check.ok for check in checks) else 503
        return json_response({"checks": [] if is_stranger(request.scope) else checks}, status)

    def _checks(self) -> list[Check]:
        error = None
        try:
            self._catch_up()
        except TokenweirError as failed:
            error = str(failed)
        ledger = self._ledger_status()
        return readiness(
            self._relays(),
            self._expected_relays,
            error,
            has_ledger=self._ledger is not None,
            ledger_failing_since=ledger.failing_since,
            archive_trouble=ledger.archive_trouble,
            sinks=self._sinks(),
        )

    def _checks_of_calls(self) -> list[Check]:
        """What calls need. They go on while the ledger is away, so a probe that takes a gateway out of service must
        not ask for it, nor wait for it."""
        return readiness(self._relays(), self._expected_relays, None, has_ledger=False)[:-1]

    async def ask(self, question: Callable[[Ledger], Any]) -> Any:
        """As ``_read``."""
        return await self._read(question)

    async def _read(self, question: Callable[[Ledger], T], threads: CapacityLimiter | None = None) -> T:
        """The answer to a question to the ledger, which has everything by then."""
        ledger = self._ledger
        if ledger is None:
            raise NoLedger(
                "this gateway keeps no ledger, its records go to the sinks; ask where `tokenweir consume` keeps them"
            )

        def read() -> T:
            self._catch_up()
            return question(ledger)

        return await run_sync(read, limiter=threads or self._reading)
