"""A request that asks for a WebSocket (RFC 6455, 4): whose it is, which deployment it means, and how it travels on."""

import re
from urllib.parse import quote, unquote_plus

from ..deployments import Target
from ..upstream import Upstream
from ..wire import RequestHead
from .request import Address

__all__ = [
    "asks_for_socket",
    "asked_deployment",
    "observes",
    "packs_messages",
    "socket_lines",
    "socket_query",
    "split_protocols",
]

_KEY = b"openai-insecure-api-key."
"""With this, browsers begin the name of a subprotocol that is a key: they cannot set headers of a WebSocket."""

_NAMES = (b"deployment", b"model")
_DEFLATE = re.compile(rb"\r\nsec-websocket-extensions:[^\r\n]*\bpermessage-deflate\b", re.IGNORECASE)


def asks_for_socket(head: RequestHead) -> bool:
    """Whether it is to become a WebSocket. Any other upgrade stays behind, as HTTP has it (RFC 9110, 7.8)."""
    fields = head.fields
    return (
        b"upgrade" in fields
        and head.method == b"GET"
        and not head.http_1_0
        and not head.has_body
        and b"websocket" in _tokens(fields[b"upgrade"])
        and b"upgrade" in _tokens(fields.get(b"connection", b""))
    )


def _tokens(value: bytes) -> list[bytes]:
    return [token.strip().lower() for token in value.split(b",")]


def split_protocols(head: RequestHead) -> tuple[bytes, bytes | None]:
    """The subprotocols that travel on, and the caller's key that was among them."""
    offered = [name.strip() for name in head.fields.get(b"sec-websocket-protocol", b"").split(b",")]
    keys = [name[len(_KEY) :] for name in offered if name.startswith(_KEY)]
    return b", ".join(name for name in offered if name and not name.startswith(_KEY)), keys[0] if keys else None


def asked_deployment(query: bytes) -> str | None:
    """What the query names: a ``model``, or in the preview's paths a ``deployment``."""
    for field in query.split(b"&"):
        name, _, value = field.partition(b"=")
        if name in _NAMES and value:
            return unquote_plus(value.decode("ascii")) or None
    return None


def observes(address: Address) -> bool:
    """Whether it is to listen to a session that others have opened."""
    return address.route.tail.endswith("/attach") or any(
        field.startswith(b"call_id=") for field in address.query.split(b"&")
    )


def socket_query(address: Address, target: Target, upstream: Upstream) -> bytes:
    """The query for one target: as it came, but for the name of the deployment, and what that is called there."""
    family = address.route.family
    if target.deployment is None or family in upstream.deployment_families:
        return address.query
    name = b"deployment" if family == "openai" and family in upstream.provider.versioned else b"model"
    fields = [field for field in address.query.split(b"&") if field]
    named = [field for field in fields if field.partition(b"=")[0] in _NAMES]
    wanted = name + b"=" + quote(target.deployment, safe="").encode("ascii")
    if len(named) == 1 and named[0].startswith(name) and asked_deployment(named[0]) == target.deployment:
        return address.query
    return b"&".join([wanted if field is named[0] else field for field in fields if field not in named[1:]])


def socket_lines(address: Address) -> list[bytes]:
    """The header lines that ask for it anew."""
    lines = [b"connection: Upgrade", b"upgrade: websocket"]
    if address.protocols:
        lines.append(b"sec-websocket-protocol: " + address.protocols)
    return lines


def packs_messages(answer_lines: bytes) -> bool:
    """Whether both ends have agreed to compress each message for itself (RFC 7692)."""
    return _DEFLATE.search(answer_lines) is not None
