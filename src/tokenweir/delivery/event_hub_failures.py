"""What an error of the Event Hubs SDK means, and what a person can do about it.

The SDK wraps the service's and the network's errors more than once and drops their types on the way; what is left is
a condition (``not-found``), a status in the text, and the errors that it was raised from. No text of the SDK is
passed on: it quotes addresses and may quote more.
"""

import re
import socket
import ssl
from collections.abc import Iterator
from typing import Literal

import msgspec

from ..errors import quoted
from .event_hub import HubAddress

__all__ = ["HubFailure", "Right", "explain"]

Kind = Literal["unavailable", "throttled", "denied", "unfit"]
Right = Literal["Send", "Listen"]

_ROLES: dict[Right, str] = {"Send": "Azure Event Hubs Data Sender", "Listen": "Azure Event Hubs Data Receiver"}
_STATUS = re.compile(r"Status code: (\d{3})")

# Conditions of AMQP and of the service, without their prefix. All others mean that it may work another time.
_KINDS: dict[str, Kind] = {
    "server-busy": "throttled",
    "resource-limit-exceeded": "throttled",
    "not-found": "denied",
    "unauthorized-access": "denied",
    "auth-failed": "denied",
    "entity-disabled": "denied",
    "link:message-size-exceeded": "unfit",
    "argument-error": "unfit",
    "argument-out-of-range": "unfit",
    "decode-error": "unfit",
    "invalid-field": "unfit",
}
_BY_STATUS = {"401": "auth-failed", "403": "unauthorized-access", "404": "not-found"}


class HubFailure(msgspec.Struct, frozen=True):
    """Try later, slow down, a person must act, or this event will never do."""

    kind: Kind
    text: str


def explain(error: Exception, address: HubAddress, right: Right, group: str | None = None) -> HubFailure:
    """What went wrong while somebody who needs this right used the hub, or a consumer group of it."""
    errors = list(_with_causes(error))
    condition = next(filter(None, map(_condition, errors)), None)
    if condition in _KINDS:
        return HubFailure(_KINDS[condition], _text(condition, address, right, group))
    for one in errors:
        if failure := _of_machine(one, address):
            return failure
    if any(isinstance(one, TimeoutError) for one in errors):
        return HubFailure("unavailable", f"{address} did not answer in time")
    detail = condition or type(error).__name__
    if condition == "socket-error" or any(isinstance(one, OSError) for one in errors):
        return HubFailure(
            "unavailable",
            f"no connection to {address} ({detail}); is the namespace up, and may this machine reach its port 5671?",
        )
    return HubFailure("unavailable", f"{address} is not available ({detail})")


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and what it was raised from or while handling, nearest first."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or one.__context__


def _condition(error: BaseException) -> str | None:
    if found := _STATUS.search(str(error)):
        return _BY_STATUS.get(found[1])
    condition = getattr(error, "error", None)  # of EventHubError; others have other things there
    return condition if isinstance(condition, str) else None


def _text(condition: str, address: HubAddress, right: Right, group: str | None) -> str:
    namespace, hub = address.place()
    match condition:
        case "server-busy" | "resource-limit-exceeded":
            return f"{address} is throttled ({condition}); more throughput units would help"
        case "not-found" if group is not None:
            return f"there is no consumer group {quoted(group)} of {address}; create it, or name another"
        case "not-found":
            where = "hub" if address.hub or address.is_identity else "EntityPath in the connection string"
            return f"there is no hub {quoted(hub)} in {namespace}; check its name ({where})"
        case "unauthorized-access" if address.is_identity:
            return f"the managed identity may not use {address}; it needs the role {_ROLES[right]}"
        case "unauthorized-access":
            return f"the key in the connection string may not use {address}; its policy needs the right {right}"
        case "auth-failed" if address.is_identity:
            return f"{namespace} refused the managed identity's token; is it of the namespace's tenant?"
        case "auth-failed":
            return (
                f"{namespace} refused the key in the connection string; has it been renewed, or is it of another "
                "namespace? The portal shows it under Shared access policies"
            )
        case "entity-disabled":
            return f"{address} is disabled; it is enabled again in the portal"
    return f"{address} does not take it ({condition})"


def _of_machine(error: BaseException, address: HubAddress) -> HubFailure | None:
    """What this machine or its network says."""
    from azure.core.exceptions import ClientAuthenticationError

    server = address.endpoint or address.place()[0]
    if address.is_identity and isinstance(error, ClientAuthenticationError):
        return HubFailure(
            "denied",
            "no token could be had from a managed identity; does this machine have one, and is client_id its own? "
            "See `tokenweir doctor`",
        )
    if isinstance(error, ssl.SSLCertVerificationError):
        return HubFailure(
            "denied",
            f"the certificate of {server} is not to be trusted ({error.verify_message}); if a proxy that you know "
            "stands in between, name its authority's PEM file in ca_bundle",
        )
    if isinstance(error, socket.gaierror):
        return HubFailure("unavailable", f"the name {server} cannot be resolved; check it, and this machine's DNS")
    return None
