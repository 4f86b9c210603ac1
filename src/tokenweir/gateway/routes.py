"""The data port's paths (the surfaces of Azure OpenAI and OpenAI), taken apart and judged."""

import re
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from ..errors import MalformedRequest, UnknownRoute
from ..records import Api, Route

__all__ = ["METERED", "route_of", "split_query"]

METERED: dict[str, tuple[Api, str]] = {
    "chat/completions": ("chat_completions", "chat"),
    "completions": ("completions", "text_completion"),
    "embeddings": ("embeddings", "embeddings"),
    "responses": ("responses", "responses"),
    "responses/compact": ("responses", "responses"),
}
"""Path tail → API and OpenTelemetry operation, for calls whose usage is read."""

_TWO_WORD_OPERATIONS = frozenset(
    [
        "audio/speech",
        "audio/transcriptions",
        "audio/translations",
        "chat/completions",
        "fine_tuning/jobs",
        "images/edits",
        "images/generations",
        "images/variations",
    ]
)

_SEGMENTS = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)+")
_DEPLOYMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


_NOTHING_HERE = (
    "There is nothing at this path. Calls go to /openai/deployments/{deployment}/chat/completions?api-version=…, "
    "to /openai/v1/… or to /v1/…; check the client's base URL."
)

# The longest known has some 250 characters. Paths are remembered, also those of strangers.
_MAX_PATH = 2048


@lru_cache(maxsize=4096)
def route_of(method: bytes, path: bytes) -> Route:
    """Where a path wants to go. Raises ``UnknownRoute`` or ``MalformedRequest``."""
    if len(path) > _MAX_PATH:
        raise MalformedRequest(f"the path is longer than {_MAX_PATH} characters")
    text = path.decode("ascii")
    if text.endswith("/") and _SEGMENTS.fullmatch(text[:-1] or "/x"):
        raise UnknownRoute(_NOTHING_HERE)
    if _SEGMENTS.fullmatch(text) is None:
        raise MalformedRequest("the path holds an empty segment or a character that does not belong in a path")
    segments = text.split("/")[1:]
    for segment in segments:
        plain = unquote_to_bytes(segment)
        if plain.partition(b";")[0] in (b".", b"..") or re.search(rb"[/\\\x00-\x1f\x7f-\xff]|\.\./|%", plain):
            raise MalformedRequest("the path climbs (`..`) or hides a separator; write it out plainly")
    if segments[0] == "api" and segments[1:2] == ["openai"]:
        segments = segments[1:]
    if segments[0] == "v1" and len(segments) > 1:
        return _route(method, "v1", None, segments[1:])
    if segments[0] == "openai" and len(segments) > 1:
        if segments[1] == "v1" and len(segments) > 2:
            return _route(method, "v1", None, segments[2:])
        if segments[1] == "deployments" and len(segments) > 3:
            if _DEPLOYMENT.fullmatch(segments[2]) is None:
                raise MalformedRequest("a deployment's name has letters, digits, `-`, `_` and `.` only")
            return _route(method, "deployments", segments[2], segments[3:])
        if segments[1] not in ("v1", "deployments"):
            return _route(method, "openai", None, segments[1:])
    raise UnknownRoute(_NOTHING_HERE)


def _route(method: bytes, family: str, deployment: str | None, segments: list[str]) -> Route:
    tail = "/".join(segments)
    if method == b"POST" and tail in METERED:
        api, operation = METERED[tail]
    else:
        two = "/".join(segments[:2])
        operation = two if two in _TWO_WORD_OPERATIONS else segments[0]
        api = "other"
    return Route(api, operation, family, deployment, tail)  # type: ignore[arg-type]


def split_query(query: bytes) -> tuple[bytes, bytes | None, str | None]:
    """A query as it travels on, the caller's key in it, and the api-version."""
    if not query:
        return b"", None, None
    key = version = None
    kept = []
    for part in query.split(b"&"):
        name, _, value = part.partition(b"=")
        if name == b"subscription-key":
            key = unquote_to_bytes(value)
            continue
        if name == b"api-version":
            version = unquote_to_bytes(value).decode("ascii", "replace")
        kept.append(part)
    return (b"&".join(kept) if key is not None else query), key, version
