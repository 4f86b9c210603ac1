"""The description of a simulated surface, and the nouns that it is made of: a call, its moment and its reply."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, Literal

import msgspec

from .pieces import ReplyPiece
from .request import ReceivedRequest
from .said import Answer
from .script import Script
from .store import StoredObjects

__all__ = ["Book", "SimulatedCall", "Ending", "AnswerContext", "Reply", "SimulatedRoute", "SimulatedSurface"]

Ending = Literal["complete", "reset", "close", "hang"]
"""What happens after the last piece: all is said, TCP RST, EOF without a proper end, or nothing at all."""


class AnswerContext(msgspec.Struct, frozen=True):
    """What an answer needs and cannot work out from the call: its name, the time, the place, and what was before."""

    id: str
    created: int
    """Unix seconds."""
    region: str
    store: StoredObjects = msgspec.field(default_factory=StoredObjects)

    def name(self, kind: str) -> str:
        """An id for an object of this answer: ``resp_01a20150a2d27866acb1e5055e9c3fb6``."""
        return f"{kind}_{self.id.replace('-', '')}"


class Reply(msgspec.Struct, kw_only=True):
    """An answer before it is HTTP: a body whole or, where ``pieces`` are given, in events."""

    status: int = 200
    headers: list[tuple[str, str]]
    body: bytes = b""
    pieces: Iterator[ReplyPiece] | None = None
    answer: Answer | None = None
    """What the ledger says was used. None: nothing was."""
    usage: bool = False
    """Whether a whole body says what was used."""
    runs_on: bool = False
    """Whether the model goes on, and all is charged, where the stream breaks off."""
    ending: Ending = "complete"
    silent: bool = False
    """Not even a head is sent before the ending."""


class SimulatedCall(msgspec.Struct, frozen=True, kw_only=True):
    """A request that has found its surface. ``body`` is the decoded JSON or form of a route that needs it."""

    request: ReceivedRequest
    surface: "SimulatedSurface"
    route: "SimulatedRoute"
    operation: str
    """The path behind its root."""
    azure: bool
    anthropic: bool = False
    """Whether errors are in Anthropic's words."""
    parameters: dict[str, str] = {}
    """What stands in the path for the names of the route's ``{…}``."""
    deployment: str | None = None
    """What the caller asked for: the deployment in the path, or the model in the body."""
    api_version: str | None = None
    body: dict[str, Any] = {}

    @property
    def api(self) -> str:
        return self.surface.api

    @property
    def stream(self) -> bool:
        return self.route.streams and self.body.get("stream") is True

    @property
    def include_usage(self) -> bool:
        options = self.body.get("stream_options")
        return isinstance(options, dict) and options.get("include_usage") is True


Book = Callable[[Answer, str, bool], None]
"""Enters what was used, the id of what used it, and whether its usage was told, into the simulator's ledger: a line of
its own at once."""


class SimulatedRoute(msgspec.Struct, frozen=True, kw_only=True):
    """One method and path of a surface, and who answers there."""

    path: str
    """Behind the surface's root: ``"chat/completions"``, ``"responses/{id}/cancel"``; with a slash in front, the whole
    path (``"/models/chat/completions"``). ``{name}`` stands for one segment."""
    answer: Callable[[SimulatedCall, Script, AnswerContext], Reply]
    """Says what Azure would say. Raises ``Refused`` as Azure does. Faults (a status, a cut, a hang) and refused prompts
    are not its concern, but a stream takes its pieces through ``until_fault``."""
    method: str = "POST"
    body: Literal["json", "form", "any"] = "json"
    """An object of JSON, fields of a form (files as bytes, ``stream`` as a boolean), or whatever came."""
    needs_model: bool = True
    """Whether path, body or form have to name a model, where there is a body to name it in."""
    needs: tuple[str, ...] = ()
    """Members that must not be missing or empty."""
    streams: bool = False
    """Whether ``"stream": true`` asks for events."""
    open: Callable[[SimulatedCall, Script, AnswerContext, Book], asyncio.Protocol] | None = None
    """For a request that upgrades the connection: who speaks on it from then on, beginning with the 101. It gets the
    transport as by asyncio (``connection_made``, ``data_received``, ``pause_writing``, ``connection_lost``)."""


class SimulatedSurface(msgspec.Struct, frozen=True, kw_only=True):
    """One API that the simulator speaks: its addresses and who answers there."""

    api: str
    """The ``api`` of its lines in the ledger, which is that of the gateway's records."""
    title: str
    """For people: what it can do, in a few words."""
    routes: tuple[SimulatedRoute, ...]
    root: Literal["openai", "anthropic"] = "openai"
    """Behind Azure's and OpenAI's addresses, or behind ``/anthropic/v1/``."""
    azure_operation: str | None = None
    """What Azure calls it where it refuses: ``ChatCompletions_Create``. None: the path."""
