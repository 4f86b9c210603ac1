"""What a request asks for, as its head and its body tell."""

import re

import msgspec

from ..errors import InvalidBody
from ..wire import PRINCIPAL, FormReader, Members, ObjectReader, RequestHead, boundary_of, decode_value
from .handshake import asked_deployment, asks_for_socket, split_protocols
from .request import Address, Request
from .routes import check_method, route_of, split_query
from .structs import BodyMembers
from .subjects import LONGEST_SUBJECT

__all__ = ["BOM", "address_of", "body_reader", "cannot_be_read", "read_body", "take_members", "unreadable_head"]


# Names of deployments have 64 characters, those of fine-tuned models some hundred. They are remembered and counted by.
_LONGEST_MODEL = 256
# Of tokens and answers. Beyond is nothing that anybody means.
_LARGEST = 1 << 40
# Upstreams may pass over it or not (RFC 8259, 8.1); it stays here.
BOM = b"\xef\xbb\xbf"


DECIDED_ON = ("model", "stream", "stream_options", "service_tier", "data_sources")
"""What the gateway decides by: read as the upstream reads it, or the call is refused."""

_BOUNDS = ("max_completion_tokens", "max_output_tokens", "max_tokens")

_TOLD = ("user", "safety_identifier", *_BOUNDS, "n", "metadata")
"""What is only written down or reserved by; of two of a name, the last one."""

_FIELDS = ("model", "stream")
"""Likewise, of a form."""

_decode_members = msgspec.json.Decoder(BodyMembers).decode

_UNSET = msgspec.UNSET
# A letter that is escaped without need, in a name or anywhere else.
_ESCAPED_LETTER = re.compile(rb"\\u00[2-7]")


def address_of(head: RequestHead) -> Address:
    """Where a head wants to go. Raises ``UnknownRoute``, ``MalformedRequest``, ``UnknownMethod`` or
    ``MethodNotAllowed``."""
    check_method(head.method)
    path, _, raw_query = head.target.partition(b"?")
    query, key, version = split_query(raw_query)
    fields = head.fields
    is_socket = asks_for_socket(head)
    route = route_of(head.method, path, is_socket)
    protocols, model = b"", None
    if is_socket:
        protocols, offered = split_protocols(head)
        key, model = offered or key, asked_deployment(query)
        if model is not None and len(model) > _LONGEST_MODEL:
            raise _model_too_long()
    content_type = fields.get(b"content-type", b"").lower()
    return Address(
        head.method.decode("ascii"),
        route.path,
        route,
        query,
        key,
        version,
        is_buffered=route.is_metered or not head.has_body or content_type.startswith(b"application/json"),
        user_agent=fields[b"user-agent"].decode("ascii") if b"user-agent" in fields else None,
        traceparent=fields[b"traceparent"].decode("ascii") if b"traceparent" in fields else None,
        debug_token=fields.get(b"apim-debug-authorization"),
        principal=next((fields[name].decode("ascii") for name in PRINCIPAL if fields.get(name)), None),
        is_multipart=content_type.startswith(b"multipart/form-data"),
        is_socket=is_socket,
        protocols=protocols,
        model=model,
    )


def body_reader(request: Request) -> ObjectReader | FormReader:
    """What finds the members, or the fields, that are decided on. Raises ``InvalidBody`` where neither can be there."""
    if not request.address.is_form:
        return ObjectReader(DECIDED_ON, told=_TOLD)
    boundary = boundary_of(request.head.fields.get(b"content-type", b""))
    if boundary is None:
        raise InvalidBody(
            "The body of this call is a form with a file; its Content-Type must be multipart/form-data, and name one "
            "boundary. Official SDKs do so by themselves."
        )
    return FormReader(boundary, _FIELDS)


def read_body(request: Request, body: bytes) -> None:
    """Fills in what a whole body tells. Raises ``InvalidBody`` where a metered call's is not a JSON object, or not a
    form where it has to be one, or has something twice that is decided on."""
    if request.address.is_form:
        request.body = body
        _read_leniently(request, body)
        return
    if body.startswith(BOM):
        body = body[len(BOM) :]
    request.body = body
    if not body and (request.address.is_socket or not request.address.is_metered):
        return
    try:
        members = _decode_members(body)
    except (ValueError, RecursionError):
        members = None
    if members is None or _may_say_twice(members, body):
        _read_leniently(request, body)
    else:
        _take(request, members)


def _may_say_twice(members: BodyMembers, body: bytes) -> bool:
    """Whether a member that is decided on may be there twice, so that the decoder's last one need not be the
    upstream's. Says yes rather too often: a closer look follows."""
    if members.model is not _UNSET and body.count(b'"model"') > 1:
        return True
    if members.stream is not _UNSET and body.count(b'"stream"') > 1:
        return True
    options = members.stream_options
    if options is not _UNSET and (body.count(b'"stream_options"') > 1 or body.count(b'"include_usage"') > 1):
        return True
    if members.service_tier is not _UNSET and body.count(b'"service_tier"') > 1:
        return True
    if members.data_sources is not _UNSET and body.count(b'"data_sources"') > 1:
        return True
    return body.find(b"\\u00") >= 0 and _ESCAPED_LETTER.search(body) is not None


def _read_leniently(request: Request, body: bytes) -> None:
    """A form, or what the strict decoder refuses and upstreams accept, such as half of a surrogate pair: JavaScript
    sends it when it cuts an emoji in two."""
    reader = body_reader(request)
    try:
        reader.feed(body)
        members = reader.finish()
    except ValueError as error:
        cannot_be_read(request, error)
    else:
        take_members(request, members)


def take_members(request: Request, members: Members) -> None:
    """Fills in what the members of a body tell. Raises as ``read_body`` does."""
    if request.address.is_form:
        _take_fields(request, members)
        return
    taken = BodyMembers()
    try:
        for name, member in members.found.items():
            if name in _TOLD:
                _take_told(taken, name, member.value)
            elif name == "data_sources":
                taken.data_sources = msgspec.Raw(b"")  # that it is there is all that is asked
            elif member.value is not None:
                setattr(taken, name, decode_value(member.value))
            elif name == "model":
                taken.model = "m" * (_LONGEST_MODEL + 1)
            else:
                raise ValueError(f"its `{name}` is longer than anything that it could say")
            if name == "stream_options" and isinstance(taken.stream_options, dict):
                inner = ObjectReader(["include_usage"])
                inner.feed(member.value or b"")
                inner.finish()
    except ValueError as error:
        cannot_be_read(request, error)
        return
    _take(request, taken)


def _take_told(taken: BodyMembers, name: str, value: bytes | None) -> None:
    try:
        if name == "metadata":
            taken.metadata = msgspec.Raw(value or b"")
        else:
            setattr(taken, name, decode_value(value) if value is not None else None)
    except ValueError:
        pass  # the upstream's to judge


def _take_fields(request: Request, members: Members) -> None:
    request.members = members
    fields = {name: place.value for name, place in members.found.items()}
    model = fields.get("model", b"")
    if model is None or len(model) > _LONGEST_MODEL:
        raise _model_too_long()
    request.model = model.decode("utf-8", "replace").strip() or None
    request.stream = (fields.get("stream") or b"").strip().lower() in (b"true", b"1")


def cannot_be_read(request: Request, error: ValueError) -> None:
    """Raises ``InvalidBody`` where the call is metered; any other body is between the client and the upstream."""
    if request.address.is_metered:
        kind = "form" if request.address.is_form else "JSON object"
        raise InvalidBody(f"The body must be one {kind} that can be read in one way only: {error}.") from error


def _take(request: Request, members: BodyMembers) -> None:
    model, tier, options = members.model, members.service_tier, members.stream_options
    if isinstance(model, str):
        if len(model) > _LONGEST_MODEL:
            raise _model_too_long()
        request.model = model
    if isinstance(tier, str) and len(tier) <= _LONGEST_MODEL:
        request.service_tier = tier
    user, identifier = members.user, members.safety_identifier
    if isinstance(user, str) and 0 < len(user) <= LONGEST_SUBJECT:
        request.user = user
    if isinstance(identifier, str) and 0 < len(identifier) <= LONGEST_SUBJECT:
        request.safety_identifier = identifier
    request.stream = members.stream is True
    request.stream_options = options
    request.asks_for_usage = isinstance(options, dict) and options.get("include_usage") is True
    request.has_data_sources = members.data_sources is not msgspec.UNSET
    if members.max_completion_tokens is not _UNSET:
        request.max_output = _count(members.max_completion_tokens)
    elif members.max_tokens is not _UNSET:
        request.max_output = _count(members.max_tokens)
    elif members.max_output_tokens is not _UNSET:
        request.max_output = _count(members.max_output_tokens)
    if members.n is not _UNSET:
        request.answers = max(1, _count(members.n))
    metadata = members.metadata
    if metadata is not _UNSET:
        request.metadata = bytes(metadata)


def _count(value: object) -> int:
    """What a member says that is a count; 0 where it is none, which is the upstream's to refuse."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < _LARGEST else 0


def _model_too_long() -> InvalidBody:
    return InvalidBody(f"`model` is longer than {_LONGEST_MODEL} characters; name a deployment or a model.")


def unreadable_head() -> RequestHead:
    """Stands for a head that could not be read, so that even such a request has its record."""
    return RequestHead(b"", b"/", {}, [], 0, False, False, False)
