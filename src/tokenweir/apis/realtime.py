"""The realtime API: a session over a WebSocket, in which each response and each transcription tells its own usage.

session.created, session.updated      what is talked to
response.created … response.done      one response, whatever its status is in the end
….input_audio_transcription.completed what the caller said, by a model of its own, which has a price of its own
session.usage.updated, session.closed the seconds of a live session, which is billed by them; each is the sum so far
response.event, decision.event        what another model told to which a live session has handed work
"""

from typing import Any, Final, Literal

from ..wire import Path
from .answer import seconds_heard
from .digest import FACTS
from .surface import Surface

__all__ = ["SOCKET_EVENTS", "SOCKET_FACTS", "SURFACE", "SocketEventKind", "delegated_response", "transcription_model"]

SocketEventKind = Literal["session", "begins", "ends", "transcribed", "not transcribed", "delegated", "seconds"]
"""What an event means for the books."""

SOCKET_EVENTS: Final[dict[str, SocketEventKind]] = {
    "session.created": "session",
    "session.started": "session",
    "session.updated": "session",
    "transcription_session.created": "session",
    "transcription_session.updated": "session",
    "response.created": "begins",
    "response.done": "ends",
    "conversation.item.input_audio_transcription.completed": "transcribed",
    "conversation.item.input_audio_transcription.failed": "not transcribed",
    "session.usage.updated": "seconds",
    "session.closed": "seconds",
    "response.event": "delegated",
    "decision.event": "delegated",
}
"""The types of those events that mean something for them."""

_ENDED = ("response.completed", "response.incomplete", "response.failed", "decision.completed")

_SHORT, _LONG = FACTS[("id",)], FACTS[("usage",)]
_OF_A_RESPONSE = {
    "id": _SHORT,
    "model": _SHORT,
    "service_tier": _SHORT,
    "status": _SHORT,
    "status_details": _LONG,
    "usage": _LONG,
    "error": _LONG,
}

SOCKET_FACTS: Final[dict[Path, int]] = {
    ("type",): _SHORT,
    ("item_id",): _SHORT,
    ("usage",): _LONG,
    ("error",): _LONG,
    ("session", "id"): _SHORT,
    ("session", "model"): _SHORT,
    ("session", "audio", "input", "transcription", "model"): _SHORT,
    ("session", "input_audio_transcription", "model"): _SHORT,
    **{
        (*path, name): limit
        for path in (("response",), ("event", "response"), ("event", "decision"))
        for name, limit in _OF_A_RESPONSE.items()
    },
    ("event", "type"): _SHORT,
}
"""Where facts stand in an event too long to be decoded, and the most bytes of each."""


def transcription_model(session: dict[str, Any]) -> str | None:
    """Which model a session has for what the caller says: where it stands now, and where it stood in the preview."""
    audio = session.get("audio")
    heard = audio.get("input") if isinstance(audio, dict) else session
    asked = heard.get("transcription") or heard.get("input_audio_transcription") if isinstance(heard, dict) else None
    model = asked.get("model") if isinstance(asked, dict) else None
    return model if isinstance(model, str) else None


def delegated_response(event: dict[str, Any]) -> dict[str, Any] | None:
    """The response, or decision, that another model has ended: in an event inside an event."""
    inner = event.get("event")
    if not isinstance(inner, dict) or inner.get("type") not in _ENDED:
        return None
    response = inner.get("response") or inner.get("decision")
    return response if isinstance(response, dict) else None


SURFACE = Surface(
    name="realtime",
    title="Realtime (WebSocket)",
    operation="realtime",
    paths=(),
    socket_paths=("realtime", "realtime/translations", "live", "live/sessions"),
    has_deployment_path=False,
    needs_model=False,  # a call, an intent or a session may be named instead
    usage="input_tokens",
    quantities_of=seconds_heard,
    units=("tokens", "seconds of audio"),
    object_name="realtime.response",
    otel_operation="chat",
)
