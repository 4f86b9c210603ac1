"""An event's bytes as facts: the five members of the chargeback solution's policy, and those that ours adds.

Of a member that has not the type it should have, nothing is taken; an event is only unreadable if nothing says what was
called. One that API Management cut at its limit of 200 KB is read as far as it goes.
"""

import re
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from ....wire import close_json, decode_json
from ..formats import Unreadable

__all__ = ["BOM", "ApimEvent", "moment_of", "read_event"]

T = TypeVar("T")

# .NET writes seven decimals, of which six can be kept.
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,6})?\d*(Z|[+-]\d\d:\d\d)?")
_LONGEST_NAME = 256
BOM = b"\xef\xbb\xbf"


class ApimEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One call as API Management saw it. None: the event does not say."""

    ended_at: datetime
    """``eventTime``: when it was logged, after the whole answer."""
    started_at: datetime | None = None
    operation: str = ""
    """``apiOperation``: ``ChatCompletion``, ``TextCompletion``, ``Embeddings``, ``Response``, or nothing."""
    key: str = ""
    """``appSubscriptionKey``: the key as it was sent, or ``sha256:`` and its hash."""
    request: str | None = None
    response: str | None = None
    is_cut: bool = False
    """Whether the end of the event is missing."""
    leaves_out_bodies: bool = False
    request_id: str | None = None
    latency_ms: int | None = None
    subscription: str | None = None
    product: str | None = None
    deployment: str | None = None
    api_version: str | None = None
    status: int | None = None
    region: str | None = None
    backend: str | None = None
    stream: bool | None = None
    model: str | None = None
    usage: dict[str, Any] | None = None
    application: str | None = None
    user: str | None = None
    is_validated: bool = False
    """Whether API Management has validated the token that names application and user."""


def read_event(body: bytes) -> ApimEvent:
    """`Unreadable` if this is no event of API Management's; the reason quotes nothing of it."""
    body = body.removeprefix(BOM)
    members, is_cut = decode_json(body), False
    if members is None:
        text = body.decode(errors="replace")
        closed = close_json(text)
        if closed is None or (members := decode_json(closed.encode(errors="replace"))) is None:
            raise Unreadable("it is no JSON, nor the beginning of any")
        is_cut = True
    if not isinstance(members, dict):
        raise Unreadable(f"it is JSON, but no object: {_NOUNS.get(type(members), 'a number')}")
    members = _named(members)
    if "eventTime" not in members:
        raise Unreadable(
            "it has no eventTime, so API Management's policy did not write it; let log-to-eventhub write the members "
            "that docs/guides/apim-events.md lists"
        )
    ended_at = moment_of(members["eventTime"])
    if ended_at is None:
        raise Unreadable("its eventTime is no time like 2026-11-22T12:00:01.4567890Z")
    request, response = _body(members.get("request")), _body(members.get("response"))
    leaves_out_bodies = members.get("bodies") == "left out"
    usage = _of(dict, members.get("usage"))
    if is_cut and next(reversed(members)) == "usage":
        usage = None  # of one that came in part, nobody knows what is missing
    if request is None and response is None and usage is None and not leaves_out_bodies and "status" not in members:
        raise Unreadable("it has neither request, response nor usage, so nothing says what was used")
    identity = _of(dict, members.get("identity")) or {}
    return ApimEvent(
        ended_at=ended_at,
        started_at=moment_of(members.get("startedAt")),
        operation=_name(members.get("apiOperation")) or "",
        key=_of(str, members.get("appSubscriptionKey")) or "",
        request=request,
        response=response,
        is_cut=is_cut,
        leaves_out_bodies=leaves_out_bodies,
        request_id=_name(members.get("requestId")),
        latency_ms=_count(members.get("latencyMs")),
        subscription=_name(members.get("subscriptionId")),
        product=_name(members.get("productId")),
        deployment=_name(members.get("deployment")),
        api_version=_name(members.get("apiVersion")),
        status=_count(members.get("status")),
        region=_name(members.get("region")),
        backend=_name(members.get("backend")),
        stream=_of(bool, members.get("stream")),
        model=_name(members.get("model")),
        usage=usage,
        application=_name(identity.get("application")),
        user=_name(identity.get("user")),
        is_validated=identity.get("validated") is True,
    )


# Newtonsoft, by which the chargeback solution's function reads, does not mind in which case a name is written; and
# until October 2023 its policy wrote ``event-time`` and ``prompt_tokens``.
_NAMES = {
    re.sub("[-_]", "", name).lower(): name
    for name in (
        *("eventTime", "apiOperation", "appSubscriptionKey", "request", "response", "requestId", "startedAt"),
        *("latencyMs", "subscriptionId", "productId", "deployment", "apiVersion", "status", "region", "backend"),
        *(
            "stream",
            "model",
            "usage",
            "bodies",
            "identity",
            "operation",
            "prompt_tokens",
            "completion_tokens",
            "total_tokens",
        ),
    )
}
_COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")


def _named(members: dict[str, Any]) -> dict[str, Any]:
    """The members by their names of today, in their order."""
    named: dict[str, Any] = {}
    for name, value in members.items():
        named.setdefault(_NAMES.get(re.sub("[-_]", "", name).lower(), name), value)
    counts = {name: int(value) for name in _COUNTS if isinstance(value := named.get(name), str) and value.isdecimal()}
    if counts and "usage" not in named:  # the policy of before October 2023, which logs no bodies
        named = {"usage": counts, "response": None, **named}
        named["apiOperation"] = _OPERATIONS.get(str(named.get("operation", "")).lower(), "")
    return named


# What API Management calls the operations of Azure OpenAI's description of 2023.
_OPERATIONS = {
    "chatcompletions_create": "ChatCompletion",
    "chatcompletion": "ChatCompletion",
    "completions_create": "TextCompletion",
    "textcompletion": "TextCompletion",
    "embeddings_create": "Embeddings",
}

_NOUNS = {list: "a list", str: "a text", bool: "true or false"}


def _body(value: Any) -> str | None:
    """A body's text. Some policies log the JSON itself, not its text."""
    if isinstance(value, dict | list):
        return msgspec.json.encode(value).decode()
    return value.removeprefix("\ufeff") or None if isinstance(value, str) else None


def _name(value: Any) -> str | None:
    return value[:_LONGEST_NAME] if isinstance(value, str) and value else None


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else None


def _of(kind: type[T], value: Any) -> T | None:
    return value if isinstance(value, kind) else None


def moment_of(value: Any) -> datetime | None:
    """A time in UTC; one that names no zone is taken for UTC, as API Management's clock is."""
    found = _MOMENT.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return None
    try:
        moment = datetime.fromisoformat("".join(part or "" for part in found.groups()).replace("Z", "+00:00"))
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
