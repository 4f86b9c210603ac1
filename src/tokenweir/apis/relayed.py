"""What is relayed and not metered: no description of a surface, but the words of its paths.

They are known so that another spelling of one is refused, and so that a record tells which session its call was about;
jobs are described in ``jobs.py``.
"""

import re

from .surface import Surface

__all__ = [
    "FREE",
    "HEADS",
    "OTHER",
    "SESSIONS",
    "SESSION_ACCEPTED",
    "SESSION_MAKERS",
    "SESSION_OBJECTS",
    "TWO_WORDS",
    "is_heard_at",
    "observer_of",
]

OTHER = Surface(name="other", operation="", title="Everything else", paths=(), needs_model=False)
"""The surface of every path that no other one has."""

SESSION_MAKERS = frozenset(
    [
        "live/sessions",
        "realtime/calls",
        "realtime/client_secrets",
        "realtime/sessions",
        "realtime/transcription_sessions",
    ]
    + ["realtime/translations/client_secrets"]
)
"""Paths at which a session is made that passes by the gateway: by WebRTC, or with a key of its own."""

SESSION_ACCEPTED = re.compile(r"(?:realtime/calls|live/sessions)/[^/]+/accept")
"""Paths at which a session is accepted that passes by likewise, as it came by telephone."""

_CAN_BE_HEARD = frozenset(["live/sessions", "realtime/calls"])


def is_heard_at(tail: str) -> bool:
    """Whether a session that was made, or accepted, at this path can be listened to; not those of which only a key was
    made, with which a client opens a session that nobody else knows."""
    return tail in _CAN_BE_HEARD or SESSION_ACCEPTED.fullmatch(tail) is not None


def observer_of(path: str, session_id: str) -> tuple[str, str]:
    """Where a session is listened to that was made at this path: the end of a path, and a query."""
    if "/live/" in path:
        return f"live/sessions/{session_id}/attach", ""
    return "realtime", f"call_id={session_id}"


TWO_WORDS = frozenset(
    ["fine_tuning/jobs", "realtime/translations", *(path for path in SESSION_MAKERS if path.count("/") == 1)]
)
"""Operations that are named in two words; all others by the first word of their path."""

HEADS = frozenset(
    ["assistants", "batches", "containers", "conversations", "evals", "files", "live", "models", "realtime"]
    + ["threads", "uploads", "vector_stores", "videos"]
)
"""First words of paths that are not the first of a metered surface or of `TWO_WORDS`."""

FREE = frozenset(
    ["assistants", "batches", "conversations", "files", "fine_tuning/jobs", "models", "uploads", "vector_stores"]
    + ["videos"]
)
"""Operations of which no call costs anything by itself: they keep something, or make a job that has its own record."""

SESSIONS = re.compile(r"(?:realtime/(?:sessions|calls)|live/sessions)/([^/]+)(?:/.*)?")
"""Paths about a session, whose id is the group."""

SESSION_OBJECTS = frozenset(["realtime.session", "realtime.transcription_session", "realtime.translation_session"])
"""The ``object`` of an answer that tells of a session."""
