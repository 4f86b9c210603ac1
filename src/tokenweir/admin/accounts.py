"""Statements, months and re-rating, which the commands ask of a gateway that has the ledger open."""

from collections.abc import Callable, Iterator
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

import msgspec
from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ..errors import QueryError, TokenweirError
from ..statements import Rated, ReRating, StatementBooks, WantedCalls
from .params import parameters, read_body
from .responses import NoLedger, json_response

__all__ = ["AccountsApi"]

T = TypeVar("T")

# A run's differences, of a few thousand teams.
_MOST_BYTES = 16 * 1024 * 1024


class _Close(msgspec.Struct, forbid_unknown_fields=True):
    month: str
    by: str


class _Book(msgspec.Struct, forbid_unknown_fields=True):
    rated: Rated
    by: str


class _Rate(msgspec.Struct, forbid_unknown_fields=True):
    wanted: WantedCalls
    keep: bool = False


class AccountsApi:
    """``statements`` and ``rating`` are made for each question, from the configuration that is in force then; ``None``
    where no ledger is kept. ``catch_up`` posts what the journals hold."""

    def __init__(
        self,
        statements: Callable[[], StatementBooks | None],
        rating: Callable[[], ReRating | None],
        catch_up: Callable[[], object],
    ) -> None:
        self._statements = statements
        self._rating = rating
        self._catch_up = catch_up

    async def statement(self, request: Request) -> Response:
        given = parameters(request, "/api/statement")
        period, by = given.get("month", "this"), given.get("by", "caller")
        return json_response(await self._ask(lambda books: books.statement(period, by, given.get("currency"))))

    async def months(self, request: Request) -> Response:
        return json_response(await self._ask(StatementBooks.months))

    async def close(self, request: Request) -> Response:
        wanted = _body(await read_body(request), _Close, '{"month": "2026-10", "by": "who closes it"}')
        return json_response(await self._ask(lambda books: books.close(wanted.month, wanted.by)))

    async def verify(self, request: Request) -> Response:
        month = request.path_params["month"]
        return json_response({"wrong": await self._ask(lambda books: books.verify(month))})

    async def rate(self, request: Request) -> Response:
        """Lines of JSON: how many calls were looked at; at the end what was found, or what went wrong."""
        given = _body(await read_body(request), _Rate, '{"wanted": {"since": "2026-10-01T00:00:00Z"}, "keep": false}')
        rating = _of(self._rating)
        lines: SimpleQueue[dict[str, Any] | None] = SimpleQueue()

        def run() -> None:
            try:
                self._catch_up()
                rated = rating.rate(given.wanted, lambda calls: lines.put({"calls": calls}), is_kept=given.keep)
                lines.put({"rated": rated})
            except TokenweirError as error:
                lines.put({"error": str(error)})
            finally:
                lines.put(None)

        def answer() -> Iterator[bytes]:
            thread = Thread(target=run, name="rerate", daemon=True)
            thread.start()
            for line in iter(lines.get, None):
                yield bytes(json_response(line).body) + b"\n"
            thread.join()

        return StreamingResponse(answer(), media_type="application/x-ndjson")

    async def book(self, request: Request) -> Response:
        given = _body(await read_body(request, _MOST_BYTES), _Book, '{"rated": …, "by": "who books it"}')
        rating = _of(self._rating)
        return json_response(await run_sync(lambda: rating.book(given.rated, given.by)))

    async def discard(self, request: Request) -> Response:
        given = _body(await read_body(request, _MOST_BYTES), _Book, '{"rated": …, "by": "who discards it"}')
        rating = _of(self._rating)
        await run_sync(lambda: rating.discard(given.rated))
        return json_response({})

    async def _ask(self, question: Callable[[StatementBooks], T]) -> T:
        books = _of(self._statements)

        def ask() -> T:
            self._catch_up()
            return question(books)

        return await run_sync(ask)


def _of(make: Callable[[], T | None]) -> T:
    made = make()
    if made is None:
        raise NoLedger(
            "this gateway keeps no ledger, its records go to the sinks; ask where `tokenweir consume` keeps them"
        )
    return made


def _body(body: bytes, kind: type[T], form: str) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise QueryError(f"the body must be like {form}: {error}") from None
