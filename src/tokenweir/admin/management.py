"""API Management's management contract for traces, for the tools that speak it: ``listDebugCredentials`` and
``listTrace`` below any service's resource id. The admin token takes the place of Azure's bearer token.

Errors have ARM's shape, which is ours, and its codes.
"""

import asyncio
import re
from ast import literal_eval
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ..errors import quoted
from ..policy import DebugTokens
from ..records import Clock
from ..traces import record_of_row, trace_entries, why_no_trace
from .params import read_body
from .responses import ManagementError, json_response

__all__ = ["Management", "check_api_version"]

_LONGEST = timedelta(hours=1)  # Azure's own limit
_LONGEST_LITERAL = 4_000
_API_VERSION = re.compile(r"\d{4}-\d\d-\d\d(-preview)?")

# Who asks right behind the answer's last byte may be quicker than the record, which is on disk some milliseconds later.
_PATIENCE_SECONDS = 1.0
_PAUSE_SECONDS = 0.05

Found = Callable[[str], Awaitable[dict[str, Any] | None]]
T = TypeVar("T", bound=msgspec.Struct)


class _DebugCredentials(msgspec.Struct, rename="camel"):
    api_id: str
    purposes: list[str]
    credentials_expire_after: timedelta = _LONGEST


class _TraceAsked(msgspec.Struct, rename="camel"):
    trace_id: str


class Management:
    """The two requests. ``find`` is how a call's row is found in the ledger."""

    def __init__(self, tokens: DebugTokens, find: Found, clock: Clock) -> None:
        self._tokens = tokens
        self._find = find
        self._clock = clock

    async def list_debug_credentials(self, request: Request) -> Response:
        asked = await _asked(request, _DebugCredentials)
        api = asked.api_id.rstrip("/").rpartition("/")[2]
        if api != self._tokens.api:
            raise _invalid(
                f"apiId names the API {quoted(api[:80])}, and this gateway's is {quoted(self._tokens.api)}; "
                f"end apiId in /apis/{self._tokens.api}, or set [tracing] api"
            )
        if asked.purposes != ["tracing"]:
            raise _invalid('purposes must be ["tracing"]: there is no other')
        if not timedelta() < asked.credentials_expire_after <= _LONGEST:
            raise _invalid("credentialsExpireAfter must be more than nothing and at most PT1H, an hour")
        token = self._tokens.issue(self._clock.now() + asked.credentials_expire_after)
        return json_response({"token": token}, headers={"Cache-Control": "no-store"})

    async def list_trace(self, request: Request) -> Response:
        asked = await _asked(request, _TraceAsked)
        call_id = asked.trace_id
        row = await self._find(call_id)
        waited = 0.0
        while row is None and _is_call_id(call_id) and waited < _PATIENCE_SECONDS:
            await asyncio.sleep(_PAUSE_SECONDS)
            waited += _PAUSE_SECONDS
            row = await self._find(call_id)
        if row is None:
            raise ManagementError(
                404,
                "ResourceNotFound",
                f"there is no call {quoted(call_id[:80])} in the ledger; the id is what the answer's Apim-Trace-Id or "
                "x-tokenweir-call-id says, and a call is there once it has ended",
            )
        record = record_of_row(row)
        if record.trace is None:
            raise ManagementError(404, "TraceNotFound", f"call {call_id} has no trace: {why_no_trace(record)}")
        return json_response({"traceId": call_id, "traceEntries": trace_entries(record)})


def check_api_version(request: Request) -> None:
    """`ManagementError` where there is none, or what can be none."""
    version = request.query_params.get("api-version")
    if version is None:
        raise ManagementError(400, "MissingApiVersionParameter", "add ?api-version=, like 2023-05-01-preview")
    if not _API_VERSION.fullmatch(version):
        message = f"api-version must be a date like 2023-05-01-preview, not {quoted(version[:40])}"
        raise ManagementError(400, "InvalidApiVersionParameter", message)


async def _asked(request: Request, kind: type[T]) -> T:
    """The body of a request that has an api-version."""
    check_api_version(request)
    body = await read_body(request)
    try:
        return msgspec.json.decode(_with_double_quotes(body), type=kind)
    except msgspec.DecodeError as error:
        example = _EXAMPLES[kind]
        raise ManagementError(400, "InvalidRequestContent", f"the body must be like {example}: {error}") from error


def _with_double_quotes(body: bytes) -> bytes:
    """A notebook that gives ``str(dict)`` to ``az rest`` sends Python's quotes, and Azure's reader does not mind."""
    if not body.startswith(b"{'") or len(body) > _LONGEST_LITERAL:
        return body
    try:
        return msgspec.json.encode(literal_eval(body.decode()))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return body


_EXAMPLES: Mapping[type[msgspec.Struct], str] = {
    _DebugCredentials: '{"credentialsExpireAfter": "PT1H", "apiId": "{apimServiceId}/apis/openai", '
    '"purposes": ["tracing"]}',
    _TraceAsked: '{"traceId": "…"}',
}


def _invalid(message: str) -> ManagementError:
    return ManagementError(400, "ValidationError", message)


def _is_call_id(text: str) -> bool:
    try:
        return UUID(text).version == 7
    except ValueError:
        return False
