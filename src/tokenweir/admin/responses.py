"""Answers as JSON, and errors in one shape: ``{"error": {"message", "code"}}``."""

import logging
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping
from contextlib import closing
from itertools import chain
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from ..errors import QueryError, Refusal, TokenweirError
from ..ledger import Piece, TooManyQueries

__all__ = ["ERROR_HANDLERS", "ManagementError", "NoLedger", "error_response", "export_lines", "json_response"]

_log = logging.getLogger(__name__)

# Money as text: a float would round it.
_encode = msgspec.json.Encoder(decimal_format="string").encode


class NoLedger(TokenweirError):
    """A question to the ledger of a gateway that keeps none."""


class ManagementError(TokenweirError):
    """A request that speaks API Management's contract and cannot be answered; ``code`` is one of ARM's."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def json_response(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(_encode(value), status, headers, media_type="application/json")


def error_response(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    return json_response({"error": {"message": message, "code": code}}, status, headers)


def export_lines(first: Piece, rest: Generator[Piece]) -> Iterator[bytes]:
    """A line of columns and kinds, one for each piece, and one that says that nothing is missing, or why it is."""
    with closing(rest):
        yield _encode({"columns": first.columns, "kinds": first.kinds}) + b"\n"
        count = 0
        try:
            for piece in chain((first,), rest):
                count += len(piece.rows)
                yield _encode(piece.rows) + b"\n"
        except TokenweirError as error:
            yield _encode({"error": str(error)}) + b"\n"
        else:
            yield _encode({"rows": count}) + b"\n"


async def _bad_question(request: Request, error: Exception) -> Response:
    return error_response(400, "invalid_query", str(error))


async def _busy(request: Request, error: Exception) -> Response:
    return error_response(429, "too_many_queries", str(error), {"Retry-After": str(TooManyQueries.retry_after_seconds)})


async def _no_such_route(request: Request, error: Exception) -> Response:
    message = "nothing is at this path; /api/openapi.json lists what there is"
    return error_response(404, "unknown_route", message)


async def _wrong_method(request: Request, error: Exception) -> Response:
    headers = error.headers if isinstance(error, HTTPException) else None
    allowed = (headers or {}).get("Allow", "another method")
    return error_response(405, "wrong_method", f"ask this path with {allowed}, not {request.method}", headers)


async def _failure(request: Request, error: Exception) -> Response:
    """A defect of ours. It goes on to the server, which logs it."""
    return error_response(500, "internal_error", "the gateway made a mistake; its log says which")


async def _no_ledger(request: Request, error: Exception) -> Response:
    return error_response(501, "no_ledger", str(error))


async def _not_managed(request: Request, error: Exception) -> Response:
    assert isinstance(error, ManagementError)
    return error_response(error.status, error.code, str(error))


async def _refused(request: Request, error: Exception) -> Response:
    """What a caller would hear of the data port."""
    assert isinstance(error, Refusal)
    return Response(error.body(), error.status, {"Cache-Control": "no-store"}, media_type="application/json")


async def _unavailable(request: Request, error: Exception) -> Response:
    """A journal or a ledger that fails says why, and what to do."""
    _log.error("the admin port could not answer %s: %s", request.url.path, error)
    return error_response(503, "unavailable", str(error))


ERROR_HANDLERS: dict[Any, Callable[[Request, Exception], Awaitable[Response]]] = {
    TooManyQueries: _busy,
    QueryError: _bad_question,
    NoLedger: _no_ledger,
    ManagementError: _not_managed,
    Refusal: _refused,
    TokenweirError: _unavailable,
    404: _no_such_route,
    405: _wrong_method,
    Exception: _failure,
}
"""What was raised → how it is answered; the most specific one counts."""
