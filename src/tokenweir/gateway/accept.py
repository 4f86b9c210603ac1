"""Step 1, accept: what a request asks for, as its head and its body tell."""

import json
from typing import Any

import msgspec

from ..errors import InvalidBody
from ..wire import RequestHead
from .request import Address, Request
from .routes import route_of, split_query

__all__ = ["address_of", "read_body", "unreadable_head"]


# Names of deployments have 64 characters, those of fine-tuned models some hundred. They are remembered and counted by.
_LONGEST_MODEL = 256


class _Members(msgspec.Struct):
    """What is read of a JSON body. Types are the upstream's to judge, so any is let through."""

    model: Any = None
    stream: Any = None
    stream_options: Any = None


_decode_members = msgspec.json.Decoder(_Members).decode


def address_of(head: RequestHead) -> Address:
    """Where a head wants to go. Raises ``UnknownRoute`` or ``MalformedRequest``."""
    path, _, raw_query = head.target.partition(b"?")
    query, key, version = split_query(raw_query)
    route = route_of(head.method, path)
    fields = head.fields
    content_type = fields.get(b"content-type", b"").lower()
    return Address(
        head.method.decode("ascii"),
        path.decode("ascii"),
        route,
        query,
        key,
        version,
        route.is_metered or not head.has_body or content_type.startswith(b"application/json"),
        fields[b"user-agent"].decode("ascii") if b"user-agent" in fields else None,
        fields[b"traceparent"].decode("ascii") if b"traceparent" in fields else None,
        fields.get(b"apim-debug-authorization"),
    )


def read_body(request: Request, body: bytes) -> None:
    """Fills in what a whole JSON body tells. Raises ``InvalidBody`` where a metered call's is not a JSON object."""
    request.body = body
    is_metered = request.address.route.is_metered
    if not body and not is_metered:
        return
    try:
        members = _decode_members(body)
    except (ValueError, RecursionError) as error:
        lenient = _read_leniently(body)
        if lenient is not None:
            members = lenient
        elif is_metered:
            encoding = request.head.fields.get(b"content-encoding")
            hint = " It came with a content-encoding; send it as it is." if encoding else ""
            raise InvalidBody(f"The body must be a JSON object, and is not: {error}.{hint}") from error
        else:
            return  # whatever it is, it is between the client and the upstream
    if isinstance(members.model, str):
        if len(members.model) > _LONGEST_MODEL:
            raise InvalidBody(f"`model` is longer than {_LONGEST_MODEL} characters; name a deployment or a model.")
        request.model = members.model
    request.stream = members.stream is True
    options = request.stream_options = members.stream_options
    request.asks_for_usage = isinstance(options, dict) and options.get("include_usage") is True


def _read_leniently(body: bytes) -> _Members | None:
    """What the strict decoder refuses and upstreams accept: half of a surrogate pair, as JavaScript sends it
    when it cuts an emoji in two. In a member that is read it becomes a ``?``: no record and no answer of ours
    could hold it."""
    try:
        members = json.loads(body.decode())
        if not isinstance(members, dict):
            return None
        wanted = {name: members.get(name) for name in _Members.__struct_fields__}
        return _decode_members(json.dumps(wanted, ensure_ascii=False).encode(errors="replace"))
    except (ValueError, RecursionError):
        return None


def unreadable_head() -> RequestHead:
    """Stands for a head that could not be read, so that even such a request has its record."""
    return RequestHead(b"", b"/", {}, [], 0, False, False, False)
