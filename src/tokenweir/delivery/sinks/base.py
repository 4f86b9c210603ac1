"""What every kind of sink is made of: its settings, its events, and what sends them.

A kind is one module or folder beside this file. Its `SinkConnection` says all that is special about it, and
``sinks/__init__.py`` lists the kinds; nothing else knows one by its name.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Protocol, TypeVar
from urllib.parse import unquote
from uuid import uuid4

import msgspec

from ... import __version__
from ...records import CallRecord, ChosenBy, OneOf, PathMark, PathText
from ..base import Denied, Rejected, SinkEvent
from ..dead_letters import DeadLetter

__all__ = [
    "DEAD_LETTERS",
    "KINDS",
    "SinkEvent",
    "EventFormat",
    "JsonEvent",
    "PartitionBy",
    "Problems",
    "RejectedEvents",
    "Sampler",
    "ShapeName",
    "Sink",
    "SinkConnection",
    "SinkSettings",
    "TooLarge",
    "WholeEvent",
    "by_size",
    "chooses_dead_letters",
    "dead_letters_place",
    "json_event",
    "event_properties",
    "on_too_large",
    "resource_attributes",
    "sink_filter",
    "variable",
    "written_pairs",
]

ShapeName = Literal["tokenweir", "sse-proxy", "apim"]
PartitionBy = Literal["caller", "deployment", "call_id", "none"]
TooLarge = Literal["split", "shed", "pointer"]
Sampler = Literal["parentbased_always_on", "always_on"]

DEAD_LETTERS = "tokenweir-data/dead-letters/{name}.jsonl"
"""Where a sink's dead letters are if nothing is said."""

Problems = Iterator[tuple[str, str]]
"""The setting, or "" for the table, and what is wrong with it."""

_VARIABLE_NAME = re.compile(r"[A-Z_][A-Z0-9_]*")

_JSON = "application/json"

# What a wire needs around the body, and around each property: types, lengths, an offset, a time. The generous side.
_AROUND_EVENT = 128
_AROUND_PROPERTY = 16


# --- what is sent ---


class WholeEvent(NamedTuple):
    """An event that was too large for its sink."""

    name: str
    """Of the file."""
    body: bytes


class JsonEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A `SinkEvent` that is a message of JSON, or one part of one that was too large for its sink.

    ``properties`` go beside the body, where the wire has a place for them (application properties, headers). Those of
    a part also have ``part`` and ``parts``, where the first part is 1. The bodies of all parts (in envelopes: their
    data), joined in their order, are the event.
    """

    body: bytes
    key: str | None = None
    """Events of one key stay in order, so a sink sends them to one partition; ``None`` leaves it the choice."""
    call_id: str
    properties: dict[str, str]
    content_type: str = _JSON
    whole: "WholeEvent | None" = None
    """What is to be kept elsewhere before this is sent, which says where."""
    size: int = 0
    """Is computed."""

    def __post_init__(self) -> None:
        properties = self.properties
        texts = "".join((*properties, *properties.values(), self.key or "", "key", self.content_type, "content-type"))
        around = _AROUND_EVENT + (len(properties) + 2) * _AROUND_PROPERTY
        beside = len(texts) if texts.isascii() else len(texts.encode())
        msgspec.structs.force_setattr(self, "size", around + beside + len(self.body))

    def letter(self) -> dict[str, Any]:
        members: dict[str, Any] = {}
        try:
            members["event"] = self.body.decode()
        except UnicodeDecodeError:  # a part of one that was cut inside a character
            members["event_base64"] = self.body
        if self.key is not None:
            members["key"] = self.key
        if self.content_type != _JSON:
            members["content_type"] = self.content_type
        return members


def json_event(letter: DeadLetter) -> JsonEvent:
    """The event of a letter, to be sent again."""
    return JsonEvent(
        body=letter.event_bytes,
        key=letter.key,
        call_id=letter.call_id,
        properties=letter.properties,
        content_type=letter.content_type or _JSON,
    )


E = TypeVar("E", bound=SinkEvent)
Sent = TypeVar("Sent", contravariant=True)


class Sink(Protocol[Sent]):
    """Takes events to another place, at least once.

    One task uses a sink. ``open`` comes first, and again after any error but `Rejected` and `Throttled`, whatever was
    open before; ``close`` comes last, also where ``open`` failed. Nothing waits or tries again inside: that is the
    delivery loop's work.
    """

    @property
    def max_event_size(self) -> int:
        """The largest `Event.size` that the other side takes; known once it is open."""
        ...

    async def open(self) -> None:
        """Connects. `Unavailable` or `Denied` in words for a person."""
        ...

    async def send(self, events: Sequence[Sent]) -> None:
        """Sends all of them, those of one key in their order, in as many messages as the wire wants.

        When this returns, the other side has confirmed each. After `Rejected` it has confirmed all but the events
        named there. After any other error nobody knows which, so all have to be sent again.
        """
        ...

    async def close(self) -> None:
        """Lets go of everything that is open; raises nothing."""
        ...


# --- what a person says ---


class EventFormat(NamedTuple):
    """What a kind of sink sends of a call."""

    settings: tuple[str, ...]
    """Those fields of `SinkSettings` that mean something to it and not to every sink."""
    fit: "Callable[[CallRecord, SinkSettings, int], Sequence[SinkEvent]]"
    """A record's events, none larger than so many bytes. `Rejected`, holding the event, where that cannot be."""
    again: Callable[[DeadLetter], SinkEvent]
    """The event that a letter is about. ValueError where there is too little in it."""


class SinkConnection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ``connection`` table of one kind of sink, and with it the kind: what it sends and how it is opened.

    A field whose name ends in ``_env`` is the name of an environment variable, which must be set.
    """

    events: ClassVar[EventFormat]

    def new_sink(self, settings: "SinkSettings", environ: Mapping[str, str]) -> Sink[Any]:
        """The sink, not connected yet. What is missing or wrong is said by its ``open``."""
        raise NotImplementedError

    def check(self) -> Problems:
        """What is wrong with the settings, looked at together."""
        yield from ()

    def check_variables(self, environ: Mapping[str, str]) -> Problems:
        """What is wrong with what the variables hold, where all of them are set. Repeats nothing of it."""
        yield from ()

    def packages(self) -> Iterator[tuple[str, str, str]]:
        """The setting (``kind``, ``connection.managed_identity``) that needs a package, our extra with it, a module
        of it."""
        yield from ()

    def folder(self) -> Path | None:
        """Where the sink fills a disk of this machine, if it does."""
        return None

    async def probe(self, settings: "SinkSettings", environ: Mapping[str, str]) -> str:
        """Connects as far as that is possible without sending, for ``tokenweir doctor``.

        Returns what was found. Raises: `DeliveryError` where events could not be sent now.
        """
        sink = self.new_sink(settings, environ)
        try:
            await sink.open()
            return await self.found_by(sink, settings)
        finally:
            await sink.close()

    async def found_by(self, sink: Any, settings: "SinkSettings") -> str:
        """The second half of ``probe``, with the open sink."""
        return f"connected; an event may have {sink.max_event_size:,} bytes, shape {settings.shape}"

    def problems(self, environ: Mapping[str, str]) -> Problems:
        """All that is wrong with the table."""
        found = [*self.check(), *self._unset_variables(environ)]
        yield from found or self.check_variables(environ)

    def _unset_variables(self, environ: Mapping[str, str]) -> Problems:
        """What the variables hold is never repeated."""
        for setting in self.__struct_fields__:
            name = getattr(self, setting)
            if setting.endswith("_env") and name is not None and not environ.get(name, "").strip():
                if _VARIABLE_NAME.fullmatch(name):
                    yield setting, f"the environment variable {name} is not set"
                else:
                    yield setting, "is not a variable that is set; give the name of one, not the secret itself"


KINDS: dict[str, type[SinkConnection]] = {}
"""Each kind of sink with its ``connection``; see ``sinks/__init__.py``."""


class SinkSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One ``[[sinks]]`` table."""

    name: str
    """What metrics, logs and the cursor in the journal call it: letters, digits, ``-``, ``_`` and ``.``."""
    kind: Annotated[str, OneOf(KINDS)]
    """Which wire it speaks."""
    connection: Annotated[SinkConnection, ChosenBy("kind", KINDS)]
    """Where it sends to; see below."""
    shape: ShapeName = "tokenweir"
    """What an event looks like: the whole record, the SSE proxy function's events, or API Management's."""
    cloud_events: bool = False
    """Put each event into a CloudEvents 1.0 envelope (structured mode)."""
    partition_by: PartitionBy = "caller"
    """Whose events stay together and in order, where the other side has partitions."""
    apis: list[str] = []
    """Which surfaces' calls it gets, by their ``api``, or ``*`` for all. None: all, with shape `sse-proxy` only
    ``chat_completions``."""
    outcomes: list[str] = []
    """Which calls it gets by their ``outcome``, or ``*`` for all. None: all, with shape `sse-proxy` only
    ``completed``."""
    holds_ends: bool = True
    """With ``journal.durability = "shipped"``: whether the end of an answer waits until this sink has its event."""
    on_too_large: TooLarge | None = None
    """An event that the other side does not take: send it in parts (``split``), without as much of its bodies as it
    takes (``shed``), or without its bodies and with the address of a file that has all of it (``pointer``). None: in
    parts with the shape `tokenweir`, else without."""
    large_events: PathText | None = None
    """Where ``pointer`` puts events, each into a file of its own: a directory, or a container as for `dead_letters`."""
    content: bool = False
    """`otlp`: put prompts and answers into the spans, where ``journal.content`` keeps them."""
    sampler: Sampler = "parentbased_always_on"
    """`otlp`: leave out calls whose ``traceparent`` says that nobody records its trace, or send all of them."""
    dead_letters: Annotated[str, PathMark(otherwise=DEAD_LETTERS)] | None = None
    """Where events are kept that can never be sent: a file, or a container as for ``[intake]``; default:
    ``tokenweir-data/dead-letters/NAME.jsonl``. ``tokenweir dead-letters`` lists them and sends them again."""

    def new_sink(self, environ: Mapping[str, str]) -> Sink[Any]:
        """The sink, not connected yet."""
        return self.connection.new_sink(self, environ)


def dead_letters_place(settings: SinkSettings) -> str:
    """Where this sink's dead letters are: a path, or the address of a container."""
    return settings.dead_letters or DEAD_LETTERS.format(name=settings.name)


def chooses_dead_letters(settings: SinkSettings) -> bool:
    """Whether somebody has said where they are, wherever a configuration's paths start."""
    return not dead_letters_place(settings).endswith(DEAD_LETTERS.format(name=settings.name))


class _ShapeDefaults(NamedTuple):
    apis: list[str]
    outcomes: list[str]
    on_too_large: TooLarge


_ALL = "*"
# What reads the events of other systems knows no parts, and the function's readers know what the function logged.
_SHAPE_DEFAULTS: dict[ShapeName, _ShapeDefaults] = {
    "tokenweir": _ShapeDefaults([_ALL], [_ALL], "split"),
    "sse-proxy": _ShapeDefaults(["chat_completions"], ["completed"], "shed"),
    "apim": _ShapeDefaults([_ALL], [_ALL], "shed"),
}


def on_too_large(settings: SinkSettings) -> TooLarge:
    """What becomes of an event that its sink does not take."""
    return settings.on_too_large or _SHAPE_DEFAULTS[settings.shape].on_too_large


def sink_filter(settings: SinkSettings) -> Callable[[CallRecord], bool]:
    """Whether a sink gets the event of a call."""
    usual = _SHAPE_DEFAULTS[settings.shape]
    apis, outcomes = settings.apis or usual.apis, settings.outcomes or usual.outcomes
    all_apis, all_outcomes = _ALL in apis, _ALL in outcomes

    def is_wanted(record: CallRecord) -> bool:
        return (all_apis or record.api in apis) and (all_outcomes or record.outcome in outcomes)

    return is_wanted


# --- what kinds share ---


def variable(environ: Mapping[str, str], name: str | None) -> str:
    """What an environment variable holds. Raises: `Denied` if it is not set."""
    value = environ.get(name or "", "").strip()
    if not value:
        raise Denied(f"the environment variable {name} is not set")
    return value


class RejectedEvents:
    """Events that the other side does not take, with its reasons."""

    def __init__(self) -> None:
        self._by_reason: dict[str, list[SinkEvent]] = {}

    def add(self, reason: str, events: Sequence[SinkEvent]) -> None:
        self._by_reason.setdefault(reason, []).extend(events)

    def raise_if_any(self) -> None:
        if self._by_reason:
            reasons = " and ".join(self._by_reason)
            raise Rejected(reasons, [event for events in self._by_reason.values() for event in events])


def by_size(events: Sequence[E], limit: int) -> Iterator[list[E]]:
    """Groups of neighbours, each at most ``limit`` bytes together; an event that is larger is alone."""
    group: list[E] = []
    size = 0
    for event in events:
        if group and size + event.size > limit:
            yield group
            group, size = [], 0
        group.append(event)
        size += event.size
    if group:
        yield group


def event_properties(record: CallRecord, shape: str) -> dict[str, str]:
    """What every `SinkEvent` of a record has among its properties."""
    return {"call_id": record.call_id, "replica": record.replica, "seq": str(record.seq), "shape": shape}


# Of this process, for as long as it runs: two of the same name are told apart by it.
_INSTANCE = str(uuid4())


def resource_attributes(environ: Mapping[str, str]) -> dict[str, str]:
    """What sends, as OpenTelemetry's resource, by its variables. ``service.name`` is ``tokenweir`` where none says
    otherwise."""
    named = dict(written_pairs(environ.get("OTEL_RESOURCE_ATTRIBUTES", "")))
    service = {"service.name": name} if (name := environ.get("OTEL_SERVICE_NAME", "").strip()) else {}
    ours = {"service.name": "tokenweir", "service.version": __version__, "service.instance.id": _INSTANCE}
    return ours | named | service


def written_pairs(text: str) -> list[tuple[str, str]]:
    """``name=value,other=value``, percent-encoded, as OpenTelemetry's variables have them."""
    split = (piece.partition("=") for piece in text.split(",") if "=" in piece)
    return [(unquote(name.strip()), unquote(value.strip())) for name, _, value in split if name.strip()]
