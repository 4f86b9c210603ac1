"""The one error tree. Every error that can end a call says who caused it, what to answer, and what to do next.

    TokenweirError
    ├── ConfigError              a file, a variable or a flag is wrong; nothing was started
    ├── Refusal                  the call ends here, with an answer of our own
    │   ├── caller   MalformedRequest, NotOurName, InvalidBody, HeadTooLarge,
    │   │            BodyTooLarge, UnsupportedEncoding, InvalidApiKey, InvalidToken, KeySuspended,
    │   │            NotPermitted,
    │   │            UnknownRoute, UnknownMethod, MethodNotAllowed, UnknownDeployment, RequestTimeout,
    │   │            RateLimited, QuotaExceeded
    │   ├── upstream UpstreamUnreachable (UpstreamFull), UpstreamTimeout, UpstreamBroken,
    │   │            NoTargetAvailable, UpstreamRefusedCredential, UpstreamRefusedNetwork
    │   └── gateway  JournalUnavailable, KeysUnavailable, TokenKeysUnavailable, LimitsUnavailable, BuffersFull,
    │                ShuttingDown, TooManyConnections, CredentialUnavailable
    ├── JournalError             a record could not be made durable
    │   └── JournalInUse         another process writes there
    └── QueryError               a query was refused or failed; the text is for the person who typed it

The body of an answer has OpenAI's error shape, so the official SDKs raise their usual exceptions.
"""

from collections.abc import Iterable
from typing import ClassVar, Literal

__all__ = [
    "BodyTooLarge",
    "BuffersFull",
    "ConfigError",
    "CredentialUnavailable",
    "HeadTooLarge",
    "InvalidApiKey",
    "InvalidBody",
    "InvalidToken",
    "JournalError",
    "JournalInUse",
    "JournalUnavailable",
    "KeySuspended",
    "KeysUnavailable",
    "LimitsUnavailable",
    "MalformedRequest",
    "MethodNotAllowed",
    "NoTargetAvailable",
    "QueryError",
    "QuotaExceeded",
    "NotOurName",
    "NotPermitted",
    "RateLimited",
    "Refusal",
    "RequestTimeout",
    "ShuttingDown",
    "TokenKeysUnavailable",
    "TokenweirError",
    "TooManyConnections",
    "UnknownDeployment",
    "UnknownMethod",
    "UnknownRoute",
    "UnsupportedEncoding",
    "UpstreamBroken",
    "UpstreamFull",
    "UpstreamRefusedCredential",
    "UpstreamRefusedNetwork",
    "UpstreamTimeout",
    "UpstreamUnreachable",
    "nearest",
    "place_of",
    "quoted",
]

Source = Literal["caller", "upstream", "gateway"]


class TokenweirError(Exception):
    """Anything this project raises on purpose."""


class ConfigError(TokenweirError):
    """The configuration cannot be used. The message names the place and the fix."""


class JournalError(TokenweirError):
    """The journal cannot be written or read; the cause is kept."""


class JournalInUse(JournalError):
    """Another process writes this journal."""

    is_ending = False
    """Whether it has said that it will soon have ended."""


class QueryError(TokenweirError):
    """A query was refused, or the engine could not run it."""


class Refusal(TokenweirError):
    """A call that ends with an answer of our own instead of the upstream's."""

    source: ClassVar[Source] = "gateway"
    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    code: ClassVar[str] = "internal_error"
    param: ClassVar[str | None] = None
    closes: ClassVar[bool] = False
    """Whether the client's connection cannot be used after this answer."""
    retry_after: str | None = None
    """What the answer's ``Retry-After`` says, in seconds or as a date."""
    retry_after_seconds: float = 0.0
    """Where more than 0: until when the same call would be refused. The answer says so in whole seconds
    (``Retry-After``) and in milliseconds (``retry-after-ms``)."""
    allow: str | None = None
    """What the answer's ``Allow`` says (RFC 9110, 10.2.1)."""
    lines: bytes = b""
    """Further header lines of the answer, each behind a CR LF."""

    def body(self) -> bytes:
        """The answer in OpenAI's error shape: ``{"error": {"message", "type", "param", "code"}}``."""
        import msgspec  # here, since the command line's help needs errors and no JSON

        return msgspec.json.encode(
            {"error": {"message": str(self), "type": self.type, "param": self.param, "code": self.code}}
        )


class CallerRefusal(Refusal):
    source = "caller"
    status = 400
    type = "invalid_request_error"


class MalformedRequest(CallerRefusal):
    """Not HTTP/1.1 as we accept it. The connection closes: where the next request starts is unknown."""

    code = "malformed_request"
    closes = True


class HeadTooLarge(CallerRefusal):
    status = 431
    code = "request_head_too_large"
    closes = True


class BodyTooLarge(CallerRefusal):
    status = 413
    code = "request_body_too_large"
    closes = True


class UnsupportedEncoding(CallerRefusal):
    """A body that has to be read is packed in a way that cannot be."""

    status = 415
    code = "unsupported_content_encoding"
    param = "Content-Encoding"


class RequestTimeout(CallerRefusal):
    """The client took too long to send its request."""

    status = 408
    code = "request_timeout"
    closes = True


class InvalidBody(CallerRefusal):
    """The body of a metered call is not a JSON object."""

    code = "invalid_json"


class InvalidApiKey(CallerRefusal):
    status = 401
    type = "authentication_error"
    code = "invalid_api_key"


class InvalidToken(CallerRefusal):
    """An access token of Entra ID that is not good here."""

    status = 401
    type = "authentication_error"
    code = "invalid_token"


class KeySuspended(CallerRefusal):
    """The key is known, and opens nothing until somebody resumes it."""

    status = 403
    type = "permission_error"
    code = "key_suspended"


class NotPermitted(CallerRefusal):
    """The caller is known, and may not use what it asked for."""

    status = 403
    type = "permission_error"
    code = "not_permitted"


class NotOurName(CallerRefusal):
    """The request is meant for another host, or comes from a page of another site, and no key says that it may."""

    status = 421
    code = "not_local"


class UnknownRoute(CallerRefusal):
    status = 404
    code = "unknown_route"


class MethodNotAllowed(CallerRefusal):
    """A method that is never relayed, or that the path does not have. ``allow`` says which there are."""

    status = 405
    code = "method_not_allowed"


class UnknownMethod(CallerRefusal):
    status = 501
    code = "unknown_method"


class UnknownDeployment(CallerRefusal):
    status = 404
    code = "DeploymentNotFound"
    param = "deployment"


class RateLimited(CallerRefusal):
    """A limit of the last minute, or of calls under way, has no room for the call at present."""

    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"


class QuotaExceeded(CallerRefusal):
    """A limit of an hour, day, week or month has no room for the call any more."""

    status = 403
    type = "insufficient_quota"
    code = "quota_exceeded"


class UpstreamRefusal(Refusal):
    source = "upstream"
    type = "upstream_error"


class UpstreamUnreachable(UpstreamRefusal):
    """No connection to any target could be made."""

    status = 502
    code = "upstream_unreachable"


class UpstreamFull(UpstreamUnreachable):
    """As many connections are open as ``max_connections`` allows. It says nothing of the upstream."""


class UpstreamBroken(UpstreamRefusal):
    """The upstream went away, or sent something that is not HTTP, before its answer began."""

    status = 502
    code = "upstream_broken"


class NoTargetAvailable(UpstreamRefusal):
    """Every target of a deployment is left alone for now, as it had no room or has failed, or is drained."""

    status = 503
    code = "no_target_available"


class UpstreamRefusedCredential(UpstreamRefusal):
    """The gateway's own credential is not accepted, or may not do this. The caller's key is good."""

    status = 502
    code = "upstream_refused_credential"


class UpstreamRefusedNetwork(UpstreamRefusal):
    """The upstream lets nobody in from where the gateway is."""

    status = 502
    code = "upstream_refused_network"


class UpstreamTimeout(UpstreamRefusal):
    status = 504
    code = "upstream_timeout"


class CredentialUnavailable(Refusal):
    """The gateway could not obtain its own credential for the upstream."""

    status = 502
    code = "credential_unavailable"


class JournalUnavailable(Refusal):
    """Nothing can be written down, so nothing new is let through."""

    status = 503
    code = "journal_unavailable"
    retry_after = "1"


class KeysUnavailable(Refusal):
    """The keys file has changed and cannot be read: the key may be one that was revoked."""

    status = 503
    code = "keys_unavailable"


class TokenKeysUnavailable(Refusal):
    """The keys with which an issuer signs its tokens are being asked for, or it does not answer."""

    status = 503
    code = "token_keys_unavailable"
    retry_after = "1"


class LimitsUnavailable(Refusal):
    """What is left of a shared limit cannot be asked for, and by configuration nothing is let in without."""

    status = 503
    code = "limits_unavailable"
    retry_after = "1"


class BuffersFull(Refusal):
    """The bodies of all calls under way take as much memory as they may."""

    status = 503
    code = "buffers_full"
    retry_after = "1"


class ShuttingDown(Refusal):
    status = 503
    code = "shutting_down"
    retry_after = "1"
    closes = True


class TooManyConnections(Refusal):
    """The client's connection is one more than may be open."""

    status = 503
    code = "too_many_connections"
    retry_after = "2"
    closes = True


def quoted(value: object) -> str:
    """Somebody's text as a message or the log shows it: in quotes, on one line, with nothing that a terminal obeys."""
    shown = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in str(value))
    return f"'{shown}'"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name a person most likely meant, or ``None`` if none is near.

    One slip of the finger in a short name, two in a longer one; capitals do not count.
    """
    allowed = 1 if len(name) < 6 else 2
    near = (other for other in known if abs(len(other) - len(name)) <= allowed)
    distance, best = min(((_slips(name.lower(), other.lower()), other) for other in near), default=(3, ""))
    return best if distance <= allowed else None


def _slips(a: str, b: str) -> int:
    """How many letters were changed, left out, added, or swapped with their neighbour."""
    rows = [list(range(len(b) + 1))]
    for i in range(1, len(a) + 1):
        rows.append([i])
        for j in range(1, len(b) + 1):
            changed = rows[i - 1][j - 1] + (a[i - 1] != b[j - 1])
            slips = min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, changed)
            if i > 1 and j > 1 and a[i - 1] == b[j - 2] and a[i - 2] == b[j - 1]:
                slips = min(slips, rows[i - 2][j - 2] + 1)
            rows[i].append(slips)
    return rows[-1][-1]


def place_of(error: Exception) -> str:
    """An unforeseen error's type and place, without its text, which may quote a prompt or a key."""
    import traceback

    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"
