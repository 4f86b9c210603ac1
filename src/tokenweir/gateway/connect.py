"""Step 4, connect: the request as one target is to see it, and what to make of how the target answers."""

import re
from collections.abc import Sequence
from typing import Literal

from ..apis import surface_of
from ..deployments import Target
from ..errors import Refusal, UpstreamBusy, UpstreamRefusedCredential, UpstreamRefusedNetwork
from ..providers import AccessRefusal
from ..upstream import (
    Body,
    Upstream,
    including_usage,
    with_field,
    with_included_usage,
    with_members,
    with_model,
)
from ..wire import CALLER_KEYS, ObjectReader, ResponseHead, decode_json
from .request import Attempt, Request

__all__ = [
    "Verdict",
    "framing",
    "injects_usage",
    "refuses_stream_options",
    "refusal_of",
    "remember_refusal",
    "upstream_body",
    "upstream_head",
    "verdict_on",
    "was_busy",
]

Verdict = Literal["pass on", "try the next", "read first"]
"""What to do with an answer's head. ``read first``: only its body tells."""


def injects_usage(request: Request, target: Target, upstream: Upstream) -> bool:
    """Whether usage has to be asked for on the client's behalf, and may be."""
    return (
        request.stream
        and not request.asks_for_usage
        and surface_of(request.address.route.api).asks_for_usage
        and not upstream.refuses_stream_options(target.deployment, request.address.api_version)
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
        upstream.remember_refusal(target.deployment, request.address.api_version)


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
    target_path = provider.request_target(
        upstream.endpoint.base, route.family, route.tail, target.deployment, address.query, settings.api_version
    )
    kept = head.kept if request.debug is None else [line for line in head.kept if not _DEBUG_TOKEN.match(line)]
    if route.is_metered and b"content-encoding" in head.fields:  # it was unpacked to be read
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
    if route.is_metered:
        lines.append(b"accept-encoding: identity")
    elif b"accept-encoding" in head.fields:
        lines.append(b"accept-encoding: " + head.fields[b"accept-encoding"])
    return b"\r\n".join(lines)


def _has(lines: list[bytes], name: bytes) -> bool:
    return any(line[: len(name) + 1].lower() == name + b":" for line in lines)


_DEBUG_TOKEN = re.compile(rb"apim-debug-authorization:", re.IGNORECASE)
_CONTENT_ENCODING = re.compile(rb"content-encoding:", re.IGNORECASE)
_RETRY_AFTER = re.compile(rb"\r\nretry-after:[ \t]*([ -~]+)", re.IGNORECASE)
_VISIBLE = re.compile(rb"[!-~]+")


def upstream_body(request: Request, target: Target, upstream: Upstream, *, inject: bool) -> Body:
    """The body for one target: as it came, but for a model's name or a usage to be asked for."""
    body, route, model = request.body, request.address.route, None
    provider, surface = upstream.provider, surface_of(route.api)
    names_model = not (surface.has_deployment_path and provider.names_deployment(route.family))
    if names_model and request.model != target.deployment and target.deployment is not None:
        if request.model is not None or route.is_metered:
            model = target.deployment
    if surface.body == "form":
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


def verdict_on(head: ResponseHead, *, injected: bool, has_more: bool, can_repeat: bool, signs: bool = False) -> Verdict:
    """May the call go elsewhere? Only here is that decided: before a byte was passed on, or never.

    1. 429 and 5xx: another target may have room, if there is one and the request can be sent again.
    2. 400 after ``stream_options`` was added: it may be our addition that is refused; its body tells.
    3. 401 and 403 to a request that the gateway had signed (``signs``): if its body says that it is the gateway
       that is refused, the next target is tried, if there is one and the request can be sent again; else the
       caller, whose key is good, is told of a 502 (`refusal_of`).
    4. Anything else is the answer.
    """
    if (head.status == 429 or head.status >= 500) and has_more and can_repeat:
        return "try the next"
    if (head.status == 400 and injected) or (signs and (head.status == 401 or head.status == 403)):
        return "read first"
    return "pass on"


def refusal_of(upstream: str, refused: AccessRefusal) -> Refusal:
    """What a caller hears where an upstream refuses the gateway itself."""
    if refused.what == "network":
        return UpstreamRefusedNetwork(
            f"Upstream `{upstream}` does not let this gateway's network in. It is not your key or your request; "
            "whoever runs this gateway can see more with `tokenweir doctor`."
        )
    return UpstreamRefusedCredential(
        f"Upstream `{upstream}` does not accept this gateway's own credential. It is not your key, which is good; "
        "whoever runs this gateway can see more with `tokenweir doctor`."
    )


def was_busy(attempts: Sequence[Attempt]) -> UpstreamBusy | None:
    """What to answer where the last target could not be reached and one before it had no room: that it is worth
    coming back says more than what is out of reach."""
    busy = next((attempt for attempt in reversed(attempts) if attempt.status == 429), None)
    if busy is None:
        return None
    refusal = UpstreamBusy(
        f"Upstream `{busy.target.upstream}` has no room at present, and no other one can be reached. Try again later."
    )
    told = _RETRY_AFTER.search(busy.lines)
    if told is not None:
        refusal.retry_after = told[1].decode("ascii")
    return refusal


def refuses_stream_options(body: bytes) -> bool:
    """Whether a 400's body blames ``stream_options`` (old api-versions, and "on your data")."""
    answer = decode_json(body)
    error = answer.get("error", answer) if isinstance(answer, dict) else None
    if isinstance(error, dict):
        said = " ".join(str(error.get(part)) for part in ("message", "param", "code", "detail"))
    else:
        said = body.decode("utf-8", "replace")
    return "stream_options" in said or "include_usage" in said
