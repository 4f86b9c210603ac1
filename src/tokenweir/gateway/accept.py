"""Step 1, accept: what a request asks for, as its head and its body tell."""

from typing import Any

import msgspec

from ..errors import InvalidBody
from ..wire import PRINCIPAL, Members, ObjectReader, RequestHead, decode_value
from .request import Address, Request
from .routes import check_method, route_of, split_query

__all__ = ["BOM", "DECIDED_ON", "address_of", "cannot_be_read", "read_body", "take_members", "unreadable_head"]


# Names of deployments have 64 characters, those of fine-tuned models some hundred. They are remembered and counted by.
_LONGEST_MODEL = 256
# Upstreams may pass over it or not (RFC 8259, 8.1); it stays here.
BOM = b"\xef\xbb\xbf"


class _Once:
    """A member's value, of any type: types are the upstream's to judge."""

    __slots__ = ("value",)

    def __init__(self, kind: type, value: Any) -> None:
        self.value = value
        _met.append(value)


_met: list[Any] = []
"""Each member that the decoder has met, so that one which is there twice shows."""


_ABSENT: Any = None


class _Members(msgspec.Struct):
    """What is read of a JSON body. A ``null`` is met too, so ``None`` is what is not there."""

    model: _Once = _ABSENT
    stream: _Once = _ABSENT
    stream_options: _Once = _ABSENT
    service_tier: _Once = _ABSENT
    data_sources: _Once = _ABSENT


DECIDED_ON = _Members.__struct_fields__
"""What the gateway decides by: read as the upstream reads it, or the call is refused."""

_decode_members = msgspec.json.Decoder(_Members, dec_hook=_Once).decode


def address_of(head: RequestHead) -> Address:
    """Where a head wants to go. Raises ``UnknownRoute``, ``MalformedRequest``, ``UnknownMethod`` or
    ``MethodNotAllowed``."""
    check_method(head.method)
    path, _, raw_query = head.target.partition(b"?")
    query, key, version = split_query(raw_query)
    route = route_of(head.method, path)
    fields = head.fields
    content_type = fields.get(b"content-type", b"").lower()
    return Address(
        head.method.decode("ascii"),
        route.path,
        route,
        query,
        key,
        version,
        route.is_metered or not head.has_body or content_type.startswith(b"application/json"),
        fields[b"user-agent"].decode("ascii") if b"user-agent" in fields else None,
        fields[b"traceparent"].decode("ascii") if b"traceparent" in fields else None,
        fields.get(b"apim-debug-authorization"),
        next((fields[name].decode("ascii") for name in PRINCIPAL if fields.get(name)), None),
    )


def read_body(request: Request, body: bytes) -> None:
    """Fills in what a whole JSON body tells. Raises ``InvalidBody`` where a metered call's is not a JSON object, or
    has a member twice that is decided on."""
    if body.startswith(BOM):
        body = body[len(BOM) :]
    request.body = body
    if not body and not request.address.route.is_metered:
        return
    _met.clear()
    try:
        members = _decode_members(body)
    except (ValueError, RecursionError):
        members = None
    if members is None:
        _read_leniently(request, body)
        return
    values = {
        name: once.value
        for name, once in zip(DECIDED_ON, msgspec.structs.astuple(members), strict=True)
        if once is not None
    }
    if len(values) != len(_met) or _may_repeat(values.get("stream_options"), body):
        _read_leniently(request, body)
    else:
        _take(request, values)


def _may_repeat(options: Any, body: bytes) -> bool:
    """Whether the options have to be looked at as they were written. Says yes rather too often."""
    return isinstance(options, dict) and (body.count(b"include_usage") > 1 or b"\\u00" in body)


def _read_leniently(request: Request, body: bytes) -> None:
    """What the strict decoder refuses and upstreams accept, such as half of a surrogate pair: JavaScript sends it
    when it cuts an emoji in two."""
    reader = ObjectReader(DECIDED_ON)
    try:
        reader.feed(body)
        members = reader.finish()
    except ValueError as error:
        cannot_be_read(request, error)
    else:
        take_members(request, members)


def take_members(request: Request, members: Members) -> None:
    """Fills in what the members of a body tell. Raises as ``read_body`` does."""
    values: dict[str, Any] = {}
    try:
        for name, member in members.found.items():
            if name == "data_sources":
                values[name] = None  # that it is there is all that is asked
            elif member.value is not None:
                values[name] = decode_value(member.value)
            elif name == "model":
                values[name] = "m" * (_LONGEST_MODEL + 1)
            else:
                raise ValueError(f"its `{name}` is longer than anything that it could say")
            if name == "stream_options" and isinstance(values[name], dict):
                inner = ObjectReader(["include_usage"])
                inner.feed(member.value or b"")
                inner.finish()
    except ValueError as error:
        cannot_be_read(request, error)
        return
    _take(request, values)


def cannot_be_read(request: Request, error: ValueError) -> None:
    """Raises ``InvalidBody`` where the call is metered; any other body is between the client and the upstream."""
    if request.address.route.is_metered:
        raise InvalidBody(f"The body must be one JSON object that can be read in one way only: {error}.") from error


def _take(request: Request, values: dict[str, Any]) -> None:
    model, tier = values.get("model"), values.get("service_tier")
    if isinstance(model, str):
        if len(model) > _LONGEST_MODEL:
            raise InvalidBody(f"`model` is longer than {_LONGEST_MODEL} characters; name a deployment or a model.")
        request.model = model
    if isinstance(tier, str) and len(tier) <= _LONGEST_MODEL:
        request.service_tier = tier
    request.stream = values.get("stream") is True
    options = request.stream_options = values.get("stream_options", msgspec.UNSET)
    request.asks_for_usage = isinstance(options, dict) and options.get("include_usage") is True
    request.has_data_sources = "data_sources" in values


def unreadable_head() -> RequestHead:
    """Stands for a head that could not be read, so that even such a request has its record."""
    return RequestHead(b"", b"/", {}, [], 0, False, False, False)
