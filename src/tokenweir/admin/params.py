"""Questions as they arrive: parameters and bodies, each mistake answered with what would have been right."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from starlette.requests import Request

from ..errors import QueryError, quoted
from ..ledger import FILTERS, TAG, UTC_ZONE, parse_moment, parse_timezone, unknown_name
from .openapi import MOST_CALLS, PATHS

__all__ = ["filters", "limit", "moment", "parameters", "query", "read_body"]

# A query that a person typed is a few hundred bytes; one that a program wrote may list a thousand ids.
_MOST_QUERY_BYTES = 256 * 1024

_LANGUAGES = ("kql", "sql")


def parameters(request: Request, path: str) -> dict[str, str]:
    """The parameters of a GET. A misspelled one would otherwise be a filter that silently does not filter."""
    known = PATHS[path]["get"]["parameters"]
    given: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in known and not (TAG in known and name.startswith(TAG)):
            raise QueryError(unknown_name("parameter", name, known))
        if name in given:
            raise QueryError(f"parameter {quoted(name)} is given twice")
        given[name] = value
    return given


def filters(given: Mapping[str, str]) -> dict[str, str]:
    """The parameters that choose calls by a group."""
    return {name: value for name, value in given.items() if name in FILTERS or name.startswith(TAG)}


def limit(given: dict[str, str]) -> int:
    text = given.get("limit", "50")
    if not (text.isdecimal() and len(text) < 10 and 1 <= int(text) <= MOST_CALLS):
        raise QueryError(f"limit must be a number from 1 to {MOST_CALLS}, not {quoted(text[:20])}")
    return int(text)


def moment(given: dict[str, str], name: str, now: datetime) -> datetime | None:
    zone = parse_timezone(given.get("timezone", UTC_ZONE))
    return parse_moment(given[name], now, zone) if name in given else None


async def query(request: Request) -> tuple[str, str]:
    """The language and the text of the query in the body."""
    try:
        given = msgspec.json.decode(await read_body(request), type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise QueryError(f'the body must be {{"kql": "…"}} or {{"sql": "…"}}: {error}') from error
    for name in given:
        if name not in _LANGUAGES:
            raise QueryError(unknown_name("language", name, _LANGUAGES))
    match list(given.items()):
        case [(language, str(text))]:
            return language, text
    raise QueryError('the body must have exactly one of "kql" and "sql", and it must be text')


async def read_body(request: Request, most: int = _MOST_QUERY_BYTES) -> bytes:
    """The whole body, as far as a question goes."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > most:
            raise QueryError(f"the body is longer than {most} bytes")
    return bytes(body)
