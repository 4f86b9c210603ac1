"""Step 4, connect: the request as one target is to see it, and what to make of how the target answers."""

from typing import Literal

from ..deployments import Target
from ..errors import InvalidBody
from ..upstream import Upstream, request_target, with_included_usage, with_model
from ..wire import ResponseHead
from .request import Admission, Request

__all__ = ["Verdict", "injects_usage", "refuses_stream_options", "upstream_request", "verdict_on"]

Verdict = Literal["pass on", "try the next", "read first"]
"""What to do with an answer's head. ``read first``: only its body tells."""


def injects_usage(request: Request, target: Target, upstream: Upstream) -> bool:
    """Whether usage has to be asked for on the client's behalf, and may be."""
    return (
        request.stream
        and not request.asks_for_usage
        and request.route.api in ("chat_completions", "completions")
        and target.deployment not in upstream.refuses_stream_options
    )


def upstream_request(
    request: Request, admission: Admission, target: Target, upstream: Upstream, *, inject: bool
) -> bytes:
    """The bytes to send: head and, where it is buffered, body.

    Header lines travel as they came. Replaced are the address, the key and the framing. A metered call
    asks for ``identity``: what is compressed cannot be metered as it passes.
    """
    head, settings = request.head, upstream.settings
    target_path = request_target(settings, upstream.endpoint.base, request.route, target.deployment, request.query)
    lines = [
        b"%b %b HTTP/1.1" % (head.method, target_path),
        b"host: " + upstream.endpoint.authority,
        *head.kept,
    ]
    signature = upstream.credential.line
    if signature is not None:
        lines.append(signature)
    elif settings.credential.pass_through:
        lines.extend(
            name + b": " + head.fields[name]
            for name in (b"api-key", b"authorization", b"ocp-apim-subscription-key")
            if name in head.fields
        )
    if request.route.is_metered:
        lines.append(b"accept-encoding: identity")
    elif b"accept-encoding" in head.fields:
        lines.append(b"accept-encoding: " + head.fields[b"accept-encoding"])
    body = _body_for(request, target, upstream, inject=inject) if request.is_buffered else b""
    if request.is_buffered:
        if body or head.content_length != 0 or head.method in (b"POST", b"PUT", b"PATCH"):
            lines.append(b"content-length: %d" % len(body))
    elif head.content_length is None:
        lines.append(b"transfer-encoding: chunked")
    else:
        lines.append(b"content-length: %d" % head.content_length)
    lines.append(b"\r\n" + body)
    return b"\r\n".join(lines)


def _body_for(request: Request, target: Target, upstream: Upstream, *, inject: bool) -> bytes:
    body = request.body
    names_model = request.route.family == "v1" or not upstream.is_azure
    if names_model and target.deployment is not None and request.model != target.deployment:
        body = with_model(body, target.deployment)
    if inject:
        try:
            body = with_included_usage(body, request.stream_options)
        except ValueError as error:
            raise InvalidBody("The body could not be read as a JSON object.") from error
    return body


def verdict_on(head: ResponseHead, *, injected: bool, has_more: bool, can_repeat: bool) -> Verdict:
    """May the call go elsewhere? Only here is that decided: before a byte was passed on, or never.

    1. 429 and 5xx: another target may have room, if there is one and the request can be sent again.
    2. 400 after ``stream_options`` was added: it may be our addition that is refused; its body tells.
    3. Anything else is the answer.
    """
    if (head.status == 429 or head.status >= 500) and has_more and can_repeat:
        return "try the next"
    if head.status == 400 and injected:
        return "read first"
    return "pass on"


def refuses_stream_options(body: bytes) -> bool:
    """Whether a 400's body blames ``stream_options`` (old api-versions, and "on your data")."""
    return b"stream_options" in body or b"include_usage" in body
