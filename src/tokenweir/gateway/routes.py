"""The data port's paths (the surfaces of Azure OpenAI and OpenAI), read in one way only.

1. A path is decoded once, and written anew from what it says. That is judged, recorded, and sent upstream.
2. It is compared with what is known as a server could read it that folds case, decodes twice, cuts off
   ``;parameters`` and what follows an escaped ``?``, or takes full-width letters for plain ones. What is another
   spelling of something known is refused with the right one: relayed, it might be the metered surface behind us and
   something else here.
3. Of a metered surface only the methods that Azure and OpenAI have are let through.
"""

import re
import unicodedata
from functools import lru_cache
from urllib.parse import quote_from_bytes, unquote, unquote_to_bytes

from msgspec.structs import replace

from ..apis import HEADS, JOBS, METERED as SURFACES_AT, OTHER, SESSIONS, SOCKETS, SURFACES, TWO_WORDS
from ..errors import MalformedRequest, MethodNotAllowed, UnknownMethod, UnknownRoute
from ..records import Route
from ..wire.request_fields import QUERY_KEYS, query_fate

__all__ = ["METERED", "METHODS", "READS", "check_method", "route_of", "split_query"]

METERED: dict[str, tuple[str, str]] = {
    path: (surface.name, surface.operation) for path, surface in SURFACES_AT["openai"].items()
}
"""Path tail → API and operation, of OpenAI's calls whose usage is read."""

_TWO_WORDS = TWO_WORDS.union(surface.paths[0] for surface in SURFACES if surface.paths)

# What may stand where in a path that is another spelling of a known one, by its root.
_KNOWN_TAILS = {"openai": TWO_WORDS.union(METERED), "anthropic": frozenset(SURFACES_AT["anthropic"])}
_KNOWN_HEADS = {
    root: frozenset(tail.partition("/")[0] for tail in tails) | (HEADS if root == "openai" else frozenset())
    for root, tails in _KNOWN_TAILS.items()
}

METHODS = frozenset(
    [
        *["ACL", "BASELINE-CONTROL", "BIND", "CHECKIN", "CHECKOUT", "COPY", "DELETE", "GET", "HEAD", "LABEL", "LINK"],
        *["LOCK", "MERGE", "MKACTIVITY", "MKCALENDAR", "MKCOL", "MKREDIRECTREF", "MKWORKSPACE", "MOVE", "OPTIONS"],
        *["ORDERPATCH", "PATCH", "POST", "PROPFIND", "PROPPATCH", "PUT", "QUERY", "REBIND", "REPORT", "SEARCH"],
        *["UNBIND", "UNCHECKOUT", "UNLINK", "UNLOCK", "UPDATE", "UPDATEREDIRECTREF", "VERSION-CONTROL"],
    ]
)
"""IANA's HTTP method registry, less CONNECT, PRI and TRACE: the answer to a TRACE repeats the request, with the
gateway's own key in it."""
_NEVER = {"CONNECT", "PRI", "TRACE"}
READS = frozenset([b"GET", b"HEAD", b"OPTIONS", b"DELETE"])
"""With these nothing is asked of a model."""

_SEGMENTS = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)+")
_DEPLOYMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
# What every server reads alike, but for its case.
_PLAINEST = re.compile(r"[A-Za-z0-9_/-]+")
_VERSION_ONLY = re.compile(rb"api-version=[A-Za-z0-9.-]+")
# What a segment may hold unescaped (RFC 3986, 3.3); the rest is escaped again.
_PLAIN = "!$&'()*+,;=:@~-._"

_NOTHING_HERE = (
    "There is nothing at this path. Calls go to /openai/deployments/{deployment}/chat/completions?api-version=…, "
    "to /openai/v1/… or to /v1/…; check the client's base URL."
)
_ANTHROPIC = "with Anthropic's SDK, `base_url` is this gateway's address and /anthropic."
_TWICE = (
    "The path holds its beginning twice. With AzureOpenAI, `azure_endpoint` is this gateway's address alone, without "
    "/openai or /openai/v1; with OpenAI, `base_url` is this gateway's address and /openai/v1; "
    f"{_ANTHROPIC}"
)

# What else a Foundry resource serves: model inference, projects and their agents, and partners' models.
_FOUNDRY = re.compile(
    r"(?P<beginning>/models|/mai/v1|/v2(?=/rerank$)|/providers/(?:blackforestlabs|cohere)/v[0-9]"
    r"|/api/projects/[A-Za-z0-9._-]{1,128}(?:/openai/v1|/agents/[A-Za-z0-9._-]{1,128}/endpoint/protocols/openai))"
    r"/(?P<tail>.+)"
)
_FLUX = re.compile(r"/providers/blackforestlabs/v[0-9]/[^/]+")
"""Paths that name a model which makes pictures, and nothing else."""

_LIVE = "live/sessions"
_OF_A_LIVE_SESSION = re.compile(r"live/sessions/[^/]+/(?:attach|fork)")

# The longest known has some 250 characters. Paths are remembered, also those of strangers.
_MAX_PATH = 2048


def check_method(method: bytes) -> None:
    """Raises ``UnknownMethod`` or ``MethodNotAllowed``. Methods are case-sensitive (RFC 9110, 9.1)."""
    name = method.decode("ascii")
    if name in METHODS:
        return
    if name in _NEVER:
        refusal = MethodNotAllowed(f"{name} is not relayed.")
        refusal.allow = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
        raise refusal
    hint = f" Methods are spelled in capitals: {name.upper()}." if name.upper() in METHODS else ""
    raise UnknownMethod(f"This is not a registered HTTP method.{hint}")


@lru_cache(maxsize=4096)
def route_of(method: bytes, path: bytes, is_socket: bool = False) -> Route:
    """Where a path wants to go; ``is_socket``: to open a WebSocket there.

    Raises ``UnknownRoute``, ``MalformedRequest`` or ``MethodNotAllowed``."""
    if len(path) > _MAX_PATH:
        raise MalformedRequest(f"the path is longer than {_MAX_PATH} characters")
    text = path.decode("ascii")
    if re.match(r"/+(api/+)?openai/+v1/+(openai|v1)(/|$)|/+v1/+(openai|v1)/", text, re.IGNORECASE):
        raise UnknownRoute(_TWICE)
    if text.endswith("/") and _SEGMENTS.fullmatch(text[:-1] or "/x"):
        raise UnknownRoute(f"{_NOTHING_HERE} Leave out the slash at the end." if len(text) > 1 else _NOTHING_HERE)
    if _SEGMENTS.fullmatch(text) is None:
        raise MalformedRequest("the path holds an empty segment or a character that does not belong in a path")
    segments = [_canonical(segment) for segment in text.split("/")[1:]]
    route = _route_of(method, segments)
    if route is not None and is_socket:
        route = _socket_route(route)
    _refuse_other_spellings(method, segments, route)
    if route is None:
        raise UnknownRoute(_NOTHING_HERE)
    surface = SURFACES_AT[_root(route.family)].get(route.tail)
    if surface is not None and method.decode("ascii") not in surface.methods:
        refusal = MethodNotAllowed(f"{method.decode('ascii')} is not a method of {route.tail}; calls are a POST.")
        refusal.allow = ", ".join(surface.methods)
        raise refusal
    return route


def _canonical(segment: str) -> str:
    """A segment with each byte escaped that has to be, and no other. Raises ``MalformedRequest``."""
    if "%" not in segment:
        plain = segment.encode("ascii")
    else:
        plain = unquote_to_bytes(segment)
        try:
            if any(unicodedata.category(letter) in ("Cc", "Cf", "Cs") for letter in plain.decode()):
                raise ValueError
        except ValueError:
            raise MalformedRequest("the path holds a control character, or bytes that are not UTF-8") from None
        if b"%" in plain:
            raise MalformedRequest("the path holds an escaped or a stray `%`; escape each other character once")
    parts = re.split(rb"[/\\]", plain)
    if b"\\" in plain or any(part.partition(b";")[0] in (b"", b".", b"..") for part in parts):
        raise MalformedRequest("the path climbs (`..`) or hides a separator; write it out plainly")
    return quote_from_bytes(plain, safe=_PLAIN)


def _route_of(method: bytes, segments: list[str]) -> Route | None:
    """By the words as they are written."""
    prefix = ""
    if segments[0] == "api" and segments[1:2] == ["openai"]:
        prefix, segments = "/api", segments[1:]
    if segments[0] == "v1" and len(segments) > 1:
        return _route(method, "v1", None, segments[1:], f"{prefix}/v1")
    if segments[:2] == ["anthropic", "v1"] and len(segments) > 2 and not prefix:
        return _route(method, "anthropic", None, segments[2:], "/anthropic/v1")
    if segments[0] == "openai" and len(segments) > 1:
        if segments[1] == "v1" and len(segments) > 2:
            return _route(method, "v1", None, segments[2:], f"{prefix}/openai/v1")
        if segments[1] == "deployments" and len(segments) > 3:
            if _DEPLOYMENT.fullmatch(segments[2]) is None:
                raise MalformedRequest("a deployment's name has letters, digits, `-`, `_` and `.` only")
            beginning = f"{prefix}/openai/deployments/{segments[2]}"
            return _route(method, "deployments", segments[2], segments[3:], beginning)
        if segments[1] not in ("v1", "deployments"):
            return _route(method, "openai", None, segments[1:], f"{prefix}/openai")
    path = "/" + "/".join(segments)
    if (foundry := _FOUNDRY.fullmatch(path)) is not None:
        route = _route(method, "foundry", None, foundry["tail"].split("/"), foundry["beginning"])
        if method == b"POST" and _FLUX.fullmatch(path):
            pictures = SURFACES_AT["openai"]["images/generations"]
            return replace(route, api=pictures.name, operation=pictures.operation)
        return route
    return None


def _route(method: bytes, family: str, deployment: str | None, segments: list[str], beginning: str) -> Route:
    tail = "/".join(segments)
    surface = SURFACES_AT[_root(family)].get(tail)
    if method == b"POST" and surface is not None:
        api, operation = surface.name, surface.operation
    else:
        two = "/".join(segments[:2])
        operation = two if two in _TWO_WORDS else segments[0]
        api = OTHER.name
    job, session = JOBS.fullmatch(tail), SESSIONS.fullmatch(tail)
    return Route(
        api,
        operation,
        family,  # type: ignore[arg-type]
        deployment,
        tail,
        job[1] if job is not None else None,
        session[1] if session is not None else None,
        f"{beginning}/{tail}",
    )


def _socket_route(route: Route) -> Route:
    surface = SOCKETS.get(route.tail) or SOCKETS.get(_LIVE if _OF_A_LIVE_SESSION.fullmatch(route.tail) else "")
    return route if surface is None else replace(route, api=surface.name, operation=surface.operation)


def _root(family: str) -> str:
    return "anthropic" if family == "anthropic" else "openai"


def _refuse_other_spellings(method: bytes, segments: list[str], route: Route | None) -> None:
    """Compares the path as the most lenient server could read it with what is known."""
    folded = _folded(segments)
    if segments[:1] != folded[:1] and folded[0] in ("openai", "v1", "api", "anthropic"):
        raise _misspelled("/" + folded[0])
    at = 1 if folded[:2] == ["api", "openai"] else 0
    root = "openai"
    if folded[0] == "anthropic":
        if folded[1:2] == ["v1"] != segments[1:2]:
            raise _misspelled("/anthropic/v1")
        root, at = "anthropic", 2
    elif folded[at] == "openai" and len(folded) > at + 1:
        word = folded[at + 1]
        if word in ("v1", "deployments") and segments[at : at + 2] != ["openai", word]:
            raise _misspelled(f"/openai/{word}")
        at += {"v1": 2, "deployments": 3}.get(word, 1)
    elif folded[at] == "v1":
        at += 1
    elif route is not None and route.family == "foundry":
        at = route.path.removesuffix(route.tail).count("/") - 1
    else:
        return
    if folded[at : at + 1] and folded[at] in ("api", "openai", "v1", "deployments", "anthropic"):
        raise UnknownRoute(_TWICE)
    if root == "openai" and folded[at : at + 1] and folded[at] in _KNOWN_HEADS["anthropic"]:
        raise UnknownRoute(f"There is nothing at this path: /{folded[at]} is at /anthropic/v1; {_ANTHROPIC}")
    tail, written = "/".join(folded[at:]), route.tail if route is not None else ""
    if folded[at : at + 1] and folded[at] in _KNOWN_HEADS[root] and written.partition("/")[0] != folded[at]:
        raise _misspelled(tail if tail in _KNOWN_TAILS[root] else folded[at])
    if tail in _KNOWN_TAILS[root] and tail != written:
        raise _misspelled(tail)
    # A server that looks at the end of a path alone would take it for a metered one.
    for known in SURFACES_AT[root] if method not in READS else ():
        if tail.endswith(f"/{known}") and tail not in SURFACES_AT[root]:
            raise UnknownRoute(f"There is nothing at this path; {known} stands right behind /v1 or the deployment.")


def _folded(segments: list[str]) -> list[str]:
    text = "/".join(segments)
    if _PLAINEST.fullmatch(text):
        return text.lower().split("/")
    words: list[str] = []
    for part in re.split(r"[/\\]+", _plainest(text).casefold()):
        word = re.split("[;?#]", part)[0].strip()
        if word == "..":
            del words[-1:]
        elif word := word.rstrip(". "):  # Windows leaves out dots at the end of a name
            words.append(word)
    return words or [""]


def _misspelled(right: str) -> UnknownRoute:
    return UnknownRoute(
        f"There is nothing at this path: {right} is spelled in these letters, unescaped; check the client's base URL."
    )


def split_query(query: bytes) -> tuple[bytes, bytes | None, str | None]:
    """A query as it travels on, the caller's key in it, and the api-version.

    Names are compared decoded and without regard to case. Raises ``MalformedRequest`` where a key or the api-version
    comes twice with two values.
    """
    if not query:
        return b"", None, None
    if _VERSION_ONLY.fullmatch(query):  # as most come
        return query, None, query.partition(b"=")[2].decode("ascii")
    keys: list[bytes] = []
    versions: list[bytes] = []
    kept: list[bytes] = []
    for whole in query.split(b"&"):
        part = _before_hidden(whole) if b";" in whole else whole
        spelled, value = _field_name(part), part.partition(b"=")[2]
        fate = query_fate(spelled)
        if fate is None:
            kept.append(part)
        elif spelled.casefold().replace("_", "-") in QUERY_KEYS:
            keys.append(unquote_to_bytes(value))
        elif fate == "rewritten":
            if not versions:
                kept.append(b"api-version=" + value)
            versions.append(unquote_to_bytes(value))
    if len({*keys} - {b""}) > 1 or len(set(versions)) > 1:
        raise MalformedRequest("the query says a key or the api-version twice, with different values")
    version = versions[0].decode("ascii", "replace") if versions else None
    return b"&".join(kept), max(keys, default=None), version


def _before_hidden(part: bytes) -> bytes:
    """A part of a query up to what servers that take ``;`` for ``&`` would read as a field that does not travel. The
    value of one that does not travel keeps what is in it."""
    first, *others = part.split(b";")
    if query_fate(_field_name(first)) is not None:
        return part
    fates = (query_fate(_field_name(piece)) for piece in others)
    end = next((at for at, fate in enumerate(fates, 1) if fate is not None), None)
    return part if end is None else b";".join([first, *others][:end])


def _field_name(field: bytes) -> str:
    """The name of a query field, as the most lenient server could read it."""
    name = field.partition(b"=")[0].decode("latin-1").replace("+", " ")
    return (_plainest(name) if "%" in name else name).strip(" \t\0")


def _plainest(text: str) -> str:
    """Decoded as often as any server might, and in plain letters."""
    for _ in range(4):
        text = unicodedata.normalize("NFKC", unquote(text))
    return text
