"""The request as one target is to see it."""

import re

from ..deployments import Target
from ..policy import is_token
from ..upstream import (
    Body,
    Upstream,
    including_usage,
    with_field,
    with_included_usage,
    with_members,
    with_model,
)
from ..wire import CALLER_KEYS, ObjectReader, bearer_of
from .handshake import socket_lines, socket_query
from .request import Request

__all__ = ["framing", "injects_usage", "remember_refusal", "upstream_body", "upstream_head"]


def injects_usage(request: Request, target: Target, upstream: Upstream) -> bool:
    """Whether usage has to be asked for on the client's behalf, and may be."""
    return (
        request.stream
        and not request.asks_for_usage
        and request.address.surface.asks_for_usage
        and not upstream.refuses_stream_options(target.deployment, target.api_version or request.address.api_version)
    )


def remember_refusal(request: Request, target: Target | None, upstream: Upstream) -> None:
    """A call went through without ``stream_options`` after it had not with them: the next ones need not try, for a
    while.

    What refuses them is a deployment in an old api-version. With "on your data" it is that one request, and nobody
    knows what else there is: only a body with the plainest of members says something about the calls of others.
    """
    if target is None or request.pieces is not None:
        return
    reader = ObjectReader(())
    try:
        reader.feed(request.body)
        names = reader.finish().others
    except ValueError:
        return
    if names is not None and names <= _PLAIN:
        upstream.remember_refusal(target.deployment, target.api_version or request.address.api_version)


# As old as the API itself, and taken by every api-version together with `stream`.
_PLAIN = frozenset(
    [
        "model",
        "messages",
        "prompt",
        "suffix",
        "stream",
        "n",
        "stop",
        "user",
        "seed",
        "temperature",
        "top_p",
        "max_tokens",
        "max_completion_tokens",
        "frequency_penalty",
        "presence_penalty",
        "logit_bias",
    ]
)


def upstream_head(request: Request, target: Target, upstream: Upstream) -> bytes:
    """The head for one target, up to its length.

    Header lines travel as they came. Replaced are the address, the key and the framing. A metered call
    asks for ``identity``: what is compressed cannot be metered as it passes. A debug token of ours has done its
    work; another one may be meant for an API Management behind us.
    """
    head, address, settings = request.head, request.address, upstream.settings
    route, provider = address.route, upstream.provider
    query = socket_query(address, target, upstream) if address.is_socket else address.query
    version = settings.api_version
    if target.api_version is not None and route.family in provider.versioned:
        version = target.api_version
        query = b"&".join([part for part in query.split(b"&") if not part.startswith(b"api-version=")])
    target_path = provider.request_target(
        upstream.endpoint.base, route.family, route.tail, target.deployment, query, version, route.path
    )
    kept = head.kept if request.debug is None else [line for line in head.kept if not _DEBUG_TOKEN.match(line)]
    if address.is_metered and b"content-encoding" in head.fields:  # it was unpacked to be read
        kept = [line for line in kept if not _CONTENT_ENCODING.match(line)]
    lines = [b"%b %b HTTP/1.1" % (head.method, target_path), b"host: " + upstream.endpoint.authority, *kept]
    lines.extend(name + b": " + value for name, value in provider.headers if not _has(kept, name))
    signature = upstream.credential.line
    if signature is not None:
        lines.append(signature)
    elif settings.credential.pass_through:
        given = [name + b": " + head.fields[name] for name in CALLER_KEYS if name in head.fields]
        if not given and address.query_key and _VISIBLE.fullmatch(address.query_key):
            given = [provider.key_line(address.query_key.decode("ascii"))]
        lines.extend(given)
    elif settings.credential.pass_token:
        bearer = bearer_of(head.fields.get(b"authorization"))
        if bearer is not None and is_token(bearer):
            lines.append(b"authorization: " + head.fields[b"authorization"])
    if address.is_socket:
        lines.extend(socket_lines(address))
    if address.is_metered and not address.is_socket:
        lines.append(b"accept-encoding: identity")
    elif b"accept-encoding" in head.fields:
        lines.append(b"accept-encoding: " + head.fields[b"accept-encoding"])
    return b"\r\n".join(lines)


def _has(lines: list[bytes], name: bytes) -> bool:
    return any(line[: len(name) + 1].lower() == name + b":" for line in lines)


_DEBUG_TOKEN = re.compile(rb"apim-debug-authorization:", re.IGNORECASE)
_CONTENT_ENCODING = re.compile(rb"content-encoding:", re.IGNORECASE)
_VISIBLE = re.compile(rb"[!-~]+")


def upstream_body(request: Request, target: Target, upstream: Upstream, *, inject: bool) -> Body:
    """The body for one target: as it came, but for a model's name or a usage to be asked for."""
    address, body, model, deployment = request.address, request.body, None, target.deployment
    if deployment is not None and request.model != deployment and (request.model is not None or address.is_metered):
        if address.route.family not in upstream.deployment_families or not address.surface.has_deployment_path:
            model = deployment  # the path to this upstream does not name it
    if address.is_form:
        pieces, members = request.pieces if request.pieces is not None else [body], request.members
        if model is None or members is None:
            return pieces
        return with_field(pieces, members, "model", model, request.head.fields[b"content-type"])
    options = request.stream_options
    if request.pieces is not None:
        if request.members is None:
            return request.pieces
        return with_members(request.pieces, request.members, model, including_usage(options) if inject else None)
    if model is not None:
        body = with_model(body, model)
    return with_included_usage(body, options) if inject else body


def framing(request: Request, body: Body) -> bytes:
    """The end of the head: how long the body is. A body that is passed through keeps the client's framing."""
    head = request.head
    if request.address.is_buffered:
        length = len(body) if isinstance(body, bytes) else sum(map(len, body))
        if length or head.method in (b"POST", b"PUT", b"PATCH"):
            return b"\r\ncontent-length: %d\r\n\r\n" % length
        return b"\r\n\r\n"
    if head.content_length is None:
        return b"\r\ntransfer-encoding: chunked\r\n\r\n"
    return b"\r\ncontent-length: %d\r\n\r\n" % head.content_length
