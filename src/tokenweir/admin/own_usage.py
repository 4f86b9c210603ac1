"""What a caller has used, asked with the caller's own key: the sums of a time, and what one call of its own cost.

These paths are open to who has a key and to nobody else; the admin token opens nothing here. Whoever wants callers to
reach them lets ``/tokenweir/`` of the admin port through, and only that.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response

from ..errors import QueryError, quoted
from ..ledger import UTC_ZONE, Ledger, parse_month, parse_timezone
from ..policy import Identity
from ..records import Clock
from ..wire import key_in
from .openapi import OWN_GROUPINGS
from .params import moment, parameters
from .responses import error_response, json_response

__all__ = ["OwnUsage"]

_SHOWN: Final = (
    "call_id", "started_at", "api", "operation", "deployment", "requested_model", "response_model", "service_tier",
    "stream", "status", "outcome", "error_code", "usage_source", "usage_reason", "input_tokens", "cached_input_tokens",
    "output_tokens", "reasoning_tokens", "total_tokens", "quantities", "cost", "currency", "cost_reason", "charges",
    "first_token_ms", "latency_ms",
)  # fmt: skip


class OwnUsage:
    """``identify`` says whose key this is, or raises a `Refusal`; ``ask`` puts a question to the ledger."""

    def __init__(
        self,
        identify: Callable[[bytes | None], Identity],
        ask: Callable[[Callable[[Ledger], Any]], Awaitable[Any]],
        clock: Clock,
    ) -> None:
        self._identify = identify
        self._ask = ask
        self._clock = clock

    async def usage(self, request: Request) -> Response:
        caller = (await run_sync(self._identify, key_in(dict(reversed(request.headers.raw))))).caller
        given = parameters(request, "/tokenweir/usage")
        by = [name.strip() for name in given.get("by", "model").split(",") if name.strip()]
        if other := [name for name in by if name not in OWN_GROUPINGS]:
            raise QueryError(f"by knows {', '.join(OWN_GROUPINGS)}, and not {quoted(other[0][:40])}")
        now, timezone = self._clock.now(), given.get("timezone", UTC_ZONE)
        since = moment(given, "since", now) or parse_month("this", now, parse_timezone(timezone))[0]
        until = moment(given, "until", now)
        rows = await self._ask(
            lambda ledger: ledger.usage(by, since, until, only={"caller": caller}, timezone=timezone)
        )
        answer = {"caller": caller, "as_of": now, "since": since, "until": until, "timezone": timezone, "rows": rows}
        return json_response(answer, headers=_PRIVATE)

    async def call(self, request: Request) -> Response:
        caller = (await run_sync(self._identify, key_in(dict(reversed(request.headers.raw))))).caller
        call_id = request.path_params["call_id"]
        found = await self._ask(lambda ledger: ledger.call(call_id))
        if found is None or found["caller"] != caller:
            return error_response(
                404, "unknown_call", f"you have no call {quoted(call_id[:80])}; a call is there once it has ended"
            )
        return json_response({name: found[name] for name in _SHOWN if name in found}, headers=_PRIVATE)


_PRIVATE: Final = {"Cache-Control": "no-store"}
