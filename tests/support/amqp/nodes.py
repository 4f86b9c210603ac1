"""The two nodes that are asked instead of sent to: ``$cbs`` takes tokens, ``$management`` describes hubs."""

import base64
import hashlib
import hmac
from typing import Any
from urllib.parse import parse_qsl, quote_plus, urlsplit

from tokenweir.records import SystemClock

from .codec import Array, Long, Timestamp
from .frames import section, sections
from .namespace import Namespace, offset_of

__all__ = ["KEY", "POLICY", "answer"]

POLICY = "RootManageSharedAccessKey"
KEY = "c2VjcmV0IG9mIHRoZSBlbXVsYXRvcg=="


def answer(node: str, request: bytes, namespace: Namespace, granted: set[str]) -> bytes:
    """The message that answers a request. ``granted`` holds the paths that this client has shown tokens for."""
    found = dict(sections(request))
    asked = found.get(0x74) or {}
    body: dict[str, Any] | None = None
    if node == "$cbs":
        status, text = _put_token(asked, found[0x77], namespace, granted)
    else:
        status, text, body = _describe(asked, namespace, granted)
    properties = [None] * 5 + [found[0x73][0]]  # the correlation id is the request's message id
    told = {"status-code": status, "status-description": text}
    return section(0x73, properties) + section(0x74, told) + section(0x77, body)


def _put_token(asked: dict[str, Any], token: str, namespace: Namespace, granted: set[str]) -> tuple[int, str]:
    namespace.tokens.append(token)
    if namespace.faults.refused_tokens:
        return 401, "InvalidToken: The token is not accepted by this namespace."
    if asked["type"] != "jwt" and not _is_signed(token):
        return 401, "InvalidSignature: The token has an invalid signature."
    granted.add(urlsplit(asked["name"]).path.strip("/").lower())
    return 202, "Accepted"


def _is_signed(token: str) -> bool:
    """``SharedAccessSignature sr=…&sig=…&se=…&skn=…``: signed with our key over resource and end, and still good."""
    fields = dict(parse_qsl(token.partition(" ")[2]))
    text = f"{quote_plus(fields['sr'])}\n{fields['se']}"
    good = base64.b64encode(hmac.new(KEY.encode(), text.encode(), hashlib.sha256).digest()).decode()
    is_live = int(fields["se"]) > SystemClock().now().timestamp()
    return is_live and fields.get("skn") == POLICY and hmac.compare_digest(good, fields["sig"])


def _describe(asked: dict[str, Any], namespace: Namespace, granted: set[str]) -> tuple[int, str, dict[str, Any] | None]:
    hub, name = asked["name"], asked.get("partition")
    partitions = namespace.hubs.get(hub)
    if partitions is None:
        return 404, f"The messaging entity '{hub}' could not be found.", None
    if not any(hub.lower() == path.partition("/")[0] for path in granted):
        return 401, "Unauthorized access. 'Listen' claim(s) are required to perform this operation.", None
    if name is None:
        ids = Array([one.id for one in partitions])
        known = {"created_at": namespace.created_at, "partition_count": len(ids), "partition_ids": ids}
        return 200, "OK", {"name": hub, **known}
    events = namespace.partition(hub, name).events
    last = {
        "last_enqueued_sequence_number": Long(len(events) - 1),
        "last_enqueued_offset": str(offset_of(len(events) - 1)) if events else "-1",
        "last_enqueued_time_utc": events[-1].enqueued_at if events else Timestamp(0),
    }
    known = {"name": hub, "partition": name, "begin_sequence_number": Long(0), "is_partition_empty": not events}
    return 200, "OK", {**known, **last}
