"""The surfaces: each API that is relayed and metered, described once.

surface.py     what a description has to say
answer.py      answers as most surfaces tell them (structs.py); digest.py for those too long to be decoded
jobs.py        what a call starts and what is billed after it has ended
relayed.py     what is passed on without being metered
others         one surface each, listed in `SURFACES`
"""

from . import audio, chat_completions, completions, embeddings, images, messages, realtime, rerank, responses, unbilled
from .digest import FACTS, digest
from .jobs import JOB_KINDS, JOB_MEMBERS, JOBS, has_ended, job_of, kind_at, kind_of
from .realtime import SOCKET_EVENTS, SOCKET_FACTS, SocketEventKind, delegated_response, transcription_model
from .relayed import (
    FREE,
    HEADS,
    OTHER,
    SESSION_ACCEPTED,
    SESSION_MAKERS,
    SESSION_OBJECTS,
    SESSIONS,
    TWO_WORDS,
    is_heard_at,
    observer_of,
)
from .structs import (
    AnswerChoice,
    AnswerMessage,
    ApiAnswer,
    CalledTool,
    CustomCall,
    FunctionCall,
    JobKind,
    UpstreamTools,
)
from .surface import Surface

__all__ = [
    "FACTS",
    "FREE",
    "HEADS",
    "JOBS",
    "JOB_KINDS",
    "JOB_MEMBERS",
    "METERED",
    "OTHER",
    "SESSIONS",
    "SESSION_ACCEPTED",
    "SESSION_MAKERS",
    "SESSION_OBJECTS",
    "SOCKETS",
    "SOCKET_EVENTS",
    "SOCKET_FACTS",
    "SURFACES",
    "TWO_WORDS",
    "ApiAnswer",
    "AnswerChoice",
    "CalledTool",
    "CustomCall",
    "FunctionCall",
    "AnswerMessage",
    "JobKind",
    "SocketEventKind",
    "Surface",
    "delegated_response",
    "UpstreamTools",
    "digest",
    "has_ended",
    "is_heard_at",
    "job_of",
    "kind_at",
    "kind_of",
    "observer_of",
    "surface_of",
    "transcription_model",
]

SURFACES: tuple[Surface, ...] = (
    chat_completions.SURFACE,
    completions.SURFACE,
    embeddings.SURFACE,
    messages.SURFACE,
    responses.SURFACE,
    audio.TRANSCRIPTIONS,
    audio.TRANSLATIONS,
    audio.SPEECH,
    images.GENERATIONS,
    images.EDITS,
    images.VARIATIONS,
    rerank.SURFACE,
    unbilled.MODERATIONS,
    unbilled.COUNT_TOKENS,
    unbilled.INPUT_TOKENS,
    realtime.SURFACE,
)
"""Whatever is metered."""

METERED = {
    root: {path: surface for surface in SURFACES if surface.root == root for path in surface.paths}
    for root in ("openai", "anthropic")
}
"""The root of a path and its end → the surface whose calls are posted there."""

SOCKETS = {path: surface for surface in SURFACES for path in surface.socket_paths}
"""The end of a path → the surface of a WebSocket that is opened there."""

_BY_NAME = {surface.name: surface for surface in SURFACES}


def surface_of(api: str) -> Surface:
    """The surface that a record's ``api`` names; `OTHER` for what is not metered."""
    return _BY_NAME.get(api, OTHER)
