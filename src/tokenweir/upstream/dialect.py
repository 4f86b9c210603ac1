"""How one API is addressed at one upstream: the request's target, and what must change in its body.

    asked for here                        kind = "azure"                              kind = "openai"
    /openai/deployments/{d}/{tail}        /openai/deployments/{target}/{tail}         /v1/{tail}, model = target
    /openai/v1/{tail}, /v1/{tail}         /openai/v1/{tail}, model = target           /v1/{tail}, model = target
    /openai/{tail}                        /openai/{tail}                              /v1/{tail}

A body is edited only where it must be: a name that differs, or a usage that has to be asked for.
"""

import json
from typing import Any

import msgspec

from ..errors import InvalidBody
from ..records import Route
from .settings import UpstreamSettings

__all__ = ["request_target", "with_included_usage", "with_model"]

_Members = dict[str, msgspec.Raw]
_decode_members = msgspec.json.Decoder(_Members).decode
_encode = msgspec.json.Encoder().encode


def request_target(
    settings: UpstreamSettings, base: bytes, route: Route, deployment: str | None, query: bytes
) -> bytes:
    """Path and query for one upstream. ``query`` comes without the caller's key."""
    tail = route.tail.encode("ascii")
    if settings.kind == "openai":
        path = base if base.endswith(b"/v1") else base + b"/v1"
        path += b"/" + tail
        query = b"&".join(part for part in query.split(b"&") if not part.startswith(b"api-version="))
    elif route.family == "deployments":
        path = b"%b/openai/deployments/%b/%b" % (base, (deployment or "").encode("ascii"), tail)
    elif route.family == "v1":
        path = b"%b/openai/v1/%b" % (base, tail)
    else:
        path = b"%b/openai/%b" % (base, tail)
    if settings.api_version and settings.kind == "azure" and route.family != "v1":
        if b"api-version=" not in query:
            version = b"api-version=" + settings.api_version.encode("ascii")
            query = query + b"&" + version if query else version
    return path + b"?" + query if query else path


def with_model(body: bytes, model: str) -> bytes:
    """A JSON body with another ``model``; every other member keeps its bytes. Raises ``InvalidBody``."""
    members = _members(body)
    members["model"] = msgspec.Raw(_encode(model))
    return _encode(members)


def with_included_usage(body: bytes, stream_options: Any) -> bytes:
    """A JSON body that asks for usage: ``stream_options.include_usage = true``.

    Where the client sent no ``stream_options`` the member is put before the closing brace and every
    byte before it stays; else its other options stay. Raises ``InvalidBody``.
    """
    if stream_options is None and b'"stream_options"' not in body:
        end = body.rstrip(b" \t\r\n")
        return end[:-1] + b',"stream_options":{"include_usage":true}}'
    members = _members(body)
    options = {**stream_options, "include_usage": True} if isinstance(stream_options, dict) else {"include_usage": True}
    members["stream_options"] = msgspec.Raw(_encode(options))
    return _encode(members)


def _members(body: bytes) -> _Members:
    """A body's members, each as its bytes. One that holds half of a surrogate pair (upstreams accept that, the
    strict decoder does not) is read by the lenient one, and its members are written anew."""
    try:
        return _decode_members(body)
    except (ValueError, RecursionError):
        pass
    try:
        members = json.loads(body).items()
        return {
            name.encode(errors="replace").decode(): msgspec.Raw(json.dumps(value).encode()) for name, value in members
        }
    except (ValueError, AttributeError, RecursionError) as error:
        raise InvalidBody("The body could not be read as a JSON object.") from error
