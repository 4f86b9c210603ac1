"""What an answer that is no success means, by its status."""

from collections.abc import Iterator

from ...wire import decode_json
from ..capture import Capture
from ..frames import error_message
from ..measures import Measures
from .finding import Finding

__all__ = ["refusals"]

_MEANINGS: dict[int, tuple[str, str]] = {
    400: (
        "the request is not understood",
        "read the message; an old api-version may not know `stream_options`: --no-usage",
    ),
    401: (
        "the key is not accepted",
        "use a key of this endpoint; API Management may want it as --key-header Ocp-Apim-Subscription-Key",
    ),
    403: ("the key is known and may not do this, or this network may not", "check quota, network rules and roles"),
    404: (
        "there is no such path or deployment",
        "check --deployment, --api and --api-version, and that the endpoint ends before /openai (or with /v1)",
    ),
    408: ("the server waited too long for the request", "try again"),
    413: ("the request is too large", "send a shorter prompt"),
    429: ("too many requests or tokens", "wait as long as retry-after says, or ask for more quota"),
    502: ("the gateway could not reach its upstream", "look into the gateway's log"),
    503: ("overloaded, or closed for now", "wait as long as retry-after says, and try again"),
    504: ("the gateway waited in vain for its upstream", "look into the gateway's log; raise its timeout"),
}
_LONGEST = 300
_LONGEST_OTHER = 100  # a page of HTML says no more in more


def refusals(capture: Capture, measures: Measures) -> Iterator[Finding]:
    """One for a status that is no success."""
    head = capture.head
    if head is None or head.status < 300:
        return
    seen = f"the answer is {head.status}"
    if message := _message(capture.body):
        seen += f": {message}"
    if head.status < 400:
        where = head.header("location") or "elsewhere"
        yield Finding("redirect", "bad", f"{seen}, to {where}", "redirects are not followed", "call that address")
        return
    means, fix = _MEANINGS.get(head.status) or (
        ("the upstream or a gateway failed", "try again; the request id above finds it")
        if head.status >= 500
        else ("the request is refused", "read the message")
    )
    yield Finding("refused", "bad", seen, means, fix)


def _message(body: bytes) -> str:
    """The error's own words, or the beginning of what is no error of an API."""
    told = decode_json(body)
    if isinstance(told, dict):
        return _cut(error_message(told), _LONGEST)
    return _cut(body.decode(errors="replace"), _LONGEST_OTHER)


def _cut(text: str, longest: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= longest else text[:longest] + "…"
