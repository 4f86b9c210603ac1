"""May a call go elsewhere, and what does its caller hear where it may not?"""

from collections.abc import Sequence
from typing import Literal

from ..errors import Refusal, UpstreamRefusedCredential, UpstreamRefusedNetwork, UpstreamUnreachable
from ..providers import AccessRefusal
from ..wire import ResponseHead, decode_json
from .request import Attempt

__all__ = [
    "Verdict",
    "goes_on_from_response",
    "misses_response",
    "refusal_of",
    "refuses_stream_options",
    "verdict_on",
    "was_out_of_reach",
]

Verdict = Literal["pass on", "try the next", "read first"]
"""What to do with an answer's head. ``read first``: only its body tells."""


def verdict_on(
    head: ResponseHead,
    *,
    injected: bool,
    may_go_on: bool,
    signs: bool = False,
    seeks: bool = False,
    goes_on: bool = False,
) -> Verdict:
    """May the call go elsewhere? Only here is that decided: before a byte was passed on, or never.

    ``may_go_on``: there is another target, and the request can be sent again.

    1. 429 and 5xx: another target may have room.
    2. 400 after ``stream_options`` was added: it may be our addition that is refused; its body tells.
    3. 401 and 403 to a request that the gateway had signed (``signs``): if its body says that it is the gateway
       that is refused, the next target is tried, if that may be; else the caller, whose key is good, is told of
       a 502 (`refusal_of`).
    4. 404 to a request about something that an earlier call has made (``seeks``): another upstream may have it. Who
       answers 429 or 5xx may have it, too, so here these are the answer.
    5. 400 and 404 to a request that goes on from a stored response (``goes_on``): if its body says that there is no
       such response here, another target may have it.
    6. Anything else is the answer.
    """
    if seeks and (head.status == 404 or head.status == 429 or head.status >= 500):
        return "try the next" if head.status == 404 and may_go_on else "pass on"
    if (head.status == 429 or head.status >= 500) and may_go_on:
        return "try the next"
    if (head.status == 400 and injected) or (signs and (head.status == 401 or head.status == 403)):
        return "read first"
    if goes_on and may_go_on and (head.status == 400 or head.status == 404):
        return "read first"
    return "pass on"


def goes_on_from_response(body: bytes) -> bool:
    """Whether a request may go on from a response that is stored somewhere."""
    return b'"previous_response_id"' in body


def misses_response(body: bytes) -> bool:
    """Whether the body of an error says that the response to go on from is not stored there."""
    answer = decode_json(body)
    error = answer.get("error") if isinstance(answer, dict) else None
    return isinstance(error, dict) and error.get("code") == "previous_response_not_found"


def refuses_stream_options(body: bytes) -> bool:
    """Whether a 400's body blames ``stream_options`` (old api-versions, and "on your data")."""
    answer = decode_json(body)
    error = answer.get("error", answer) if isinstance(answer, dict) else None
    if isinstance(error, dict):
        said = " ".join(str(error.get(part)) for part in ("message", "param", "code", "detail"))
    else:
        said = body.decode("utf-8", "replace")
    return "stream_options" in said or "include_usage" in said


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


def was_out_of_reach(attempts: Sequence[Attempt]) -> UpstreamUnreachable | None:
    """What to answer where nobody has what is looked for, and somebody could not be asked: not that it is nowhere."""
    failed = next((attempt for attempt in attempts if attempt.error is not None), None)
    if failed is None:
        return None
    return UpstreamUnreachable(
        f"Upstream `{failed.target.upstream}`, which may have this, cannot be reached, and no other one has it. "
        "Try again shortly."
    )
