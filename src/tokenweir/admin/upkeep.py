"""Changes to the books themselves, which the commands ask of a gateway that has the ledger open."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response

from ..errors import QueryError
from ..ledger import Person
from ..records import CallRecord, FlatRecord, from_flat
from .params import read_body
from .responses import json_response

__all__ = ["UpkeepApi"]

# `tokenweir import` sends a thousand records, or one with its bodies.
_MOST_BYTES = 256 * 1024 * 1024

_Import: Any = msgspec.defstruct("Import", [("records", list[FlatRecord])])
_decode = msgspec.json.Decoder(_Import).decode


class _Erase(msgspec.Struct, forbid_unknown_fields=True):
    caller: str = ""
    subject: str = ""


class UpkeepApi:
    """``bring`` posts records, each call once, and says how many were new; ``erase`` forgets somebody, and says what
    it did."""

    def __init__(
        self, bring: Callable[[Sequence[CallRecord]], int], erase: Callable[[Person], Awaitable[object]]
    ) -> None:
        self._bring = bring
        self._erase = erase

    async def bring(self, request: Request) -> Response:
        body = await read_body(request, _MOST_BYTES)
        try:
            records = [from_flat(one) for one in _decode(body).records]
        except msgspec.DecodeError as error:
            raise QueryError(f'the body must be {{"records": […]}}, each as `/api/calls` has them: {error}') from None
        for record in records:
            if not record.call_id or record.started_at.tzinfo is None:
                raise QueryError("each record needs a call_id, and a started_at with its time zone")
        return json_response({"new": await run_sync(self._bring, records)})

    async def erase(self, request: Request) -> Response:
        try:
            wanted = msgspec.json.decode(await read_body(request), type=_Erase)
        except msgspec.DecodeError as error:
            raise QueryError(f'the body must be {{"caller": …}} or {{"subject": …}}: {error}') from None
        names = [(column, name) for column, name in msgspec.structs.asdict(wanted).items() if name]
        if len(names) != 1:
            raise QueryError('the body must have exactly one of "caller" and "subject"')
        return json_response(await self._erase(Person.of(*names[0])))
