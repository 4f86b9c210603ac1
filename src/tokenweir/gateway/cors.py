"""Pages of other origins that call from a browser (the Fetch standard, 3.2, "CORS protocol").

A browser asks beforehand, without a key, whether a page may send its call: that is answered here, and is no call. What
an upstream says of it does not reach the browser then: two answers to the same question are none.
"""

import re
from collections.abc import Sequence

from ..wire import Fields, RequestHead

__all__ = ["Cors"]

_METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE"
# What a page may read beyond the few headers that it always may.
_EXPOSED = b", ".join(
    [
        b"apim-request-id",
        b"azureml-model-session",
        b"openai-processing-ms",
        b"retry-after",
        b"retry-after-ms",
        b"x-ms-client-request-id",
        b"x-ms-deployment-name",
        b"x-ms-region",
        b"x-ms-stream",
        b"x-ratelimit-limit-requests",
        b"x-ratelimit-limit-tokens",
        b"x-ratelimit-remaining-requests",
        b"x-ratelimit-remaining-tokens",
        b"x-ratelimit-reset-requests",
        b"x-ratelimit-reset-tokens",
        b"request-id",
        b"x-request-id",
        b"x-tokenweir-call-id",
    ]
)
# Chrome keeps an answer for two hours at most.
_MAX_AGE = b"7200"

_NAME = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_NAMES = re.compile(_NAME + rb"(?:[ \t]*,[ \t]*" + _NAME + rb")*")
_UPSTREAMS = re.compile(rb"\r\naccess-control-[^\r]*", re.IGNORECASE)


class Cors:
    """What browsers are told. ``lines`` stand each behind a CR LF."""

    def __init__(self, origins: Sequence[str]) -> None:
        self._origins = frozenset(origin.encode("ascii") for origin in origins)
        self._allows_all = b"*" in self._origins

    def preflight(self, head: RequestHead) -> bytes | None:
        """The lines of the answer to a question beforehand from an origin that may call; else ``None``."""
        fields = head.fields
        if head.method != b"OPTIONS" or b"access-control-request-method" not in fields:
            return None
        origin = self._allowed(fields)
        if origin is None:
            return None
        lines = b"\r\naccess-control-allow-origin: %b\r\naccess-control-allow-methods: %b" % (origin, _METHODS)
        names = fields.get(b"access-control-request-headers", b"")
        if _NAMES.fullmatch(names):
            lines += b"\r\naccess-control-allow-headers: " + names
        lines += b"\r\naccess-control-max-age: " + _MAX_AGE
        return lines + b"\r\nvary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers"

    def answered(self, lines: bytes, fields: Fields) -> bytes:
        """An answer's lines as the browser is to see them; ``fields`` are the request's."""
        origin = self._allowed(fields)
        lines = _UPSTREAMS.sub(b"", lines) + b"\r\nvary: Origin"
        if origin is not None:
            lines += b"\r\naccess-control-allow-origin: %b\r\naccess-control-expose-headers: %b" % (origin, _EXPOSED)
        return lines

    def _allowed(self, fields: Fields) -> bytes | None:
        origin = fields.get(b"origin")
        if origin is None:
            return None
        if self._allows_all:
            return b"*"
        return origin if origin in self._origins else None
