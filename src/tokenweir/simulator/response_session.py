"""The Responses API over WebSocket: each ``response.create`` is answered with the events of a stream, one at a time."""

from collections.abc import Iterator
from typing import Any

import msgspec

from ..records import new_call_id
from .failures import Refused
from .pieces import ReplyPiece
from .script import Script, read_script
from .surface import AnswerContext, Book, Reply, SimulatedCall
from .websocket import SocketSession, Told

__all__ = ["ResponseSession"]

_DATA = b"data: "


class ResponseSession(SocketSession):
    def __init__(self, call: SimulatedCall, script: Script, moment: AnswerContext, book: Book) -> None:
        super().__init__(call, moment)
        self._script = script
        self._book = book
        self._reply: Reply | None = None
        self._id = ""
        self._visible = 0

    def heard(self, event: dict[str, Any]) -> None:
        if event["type"] != "response.create":
            self._refuse(Refused.bad_request(f"Invalid value: '{event['type']}'.", "type"))
        elif self.is_telling:
            self._refuse(Refused.bad_request("Another response is in progress on this connection."))
        else:
            try:
                self._begin({name: value for name, value in event.items() if name != "type"} | {"stream": True})
            except Refused as refused:
                self._refuse(refused)

    def left(self) -> None:
        if self._reply is not None:
            self._charge(ends=False, tells_usage=False)

    def _begin(self, body: dict[str, Any]) -> None:
        script = read_script({}, body) if "simulation" in body else self._script
        if body.get("generate") is False:
            script = msgspec.structs.replace(script, output_tokens=0)
        if script.status is not None:
            raise Refused(script.status, {"code": str(script.status), "message": "Simulated."})
        model = body.get("model")
        moment = msgspec.structs.replace(self.moment, id=new_call_id())
        create = next(route for route in self.call.surface.routes if route.streams)
        deployment = model if isinstance(model, str) else None
        call = msgspec.structs.replace(self.call, route=create, deployment=deployment, body=body)
        reply = create.answer(call, script, moment)
        self._reply, self._id, self._visible = reply, moment.name("resp"), 0
        self.tell(self._told(reply, reply.pieces or iter(())))

    def _told(self, reply: Reply, pieces: Iterator[ReplyPiece]) -> Iterator[Told]:
        tells_usage = False
        for piece in pieces:
            event = msgspec.json.decode(piece.data[piece.data.index(_DATA) + len(_DATA) :])
            self._visible += piece.visible
            if piece.usage:
                tells_usage = True
            if event["type"] in ("response.completed", "response.incomplete", "error"):
                self._charge(ends=event["type"] != "error", tells_usage=tells_usage)
            yield event, piece.delay or 0.0
        if self._reply is not None and reply.ending in ("reset", "close"):
            self.end(reply.ending)

    def _charge(self, *, ends: bool, tells_usage: bool) -> None:
        reply, self._reply = self._reply, None
        said = reply.answer if reply is not None else None
        if said is None:
            return
        if not ends:
            said = msgspec.structs.replace(said, completion_tokens=said.reasoning_tokens + self._visible)
        self._book(said, self._id, tells_usage)

    def _refuse(self, refused: Refused) -> None:
        self.send("error", status=refused.status, error=refused.error)
