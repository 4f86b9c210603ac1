"""Which headers of an answer are shown and saved: those that tell where a stream was made and what it passed.

A list of names that are known to be harmless, since what a stranger's header holds cannot be known.
"""

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from .masking import mask

__all__ = ["shown_headers"]

_SHOWN = frozenset(
    [
        # what it is
        "cache-control",
        "content-encoding",
        "content-length",
        "content-type",
        "transfer-encoding",
        # who made it, where, how fast
        "azureml-model-session",
        "cmp-upstream-response-duration",
        "openai-model",
        "openai-processing-ms",
        "openai-version",
        "x-ms-deployment-name",
        "x-ms-is-spilled-over",
        "x-ms-rai-invoked",
        "x-ms-region",
        "x-ms-served-model",
        "x-ms-spillover-from-deployment",
        "x-ms-stream",
        # how to find it again
        "apim-request-id",
        "apim-trace-id",
        "apim-debug-authorization-expired",
        "apim-debug-authorization-wrongapi",
        "x-azure-ref",
        "x-ms-client-request-id",
        "x-ms-request-id",
        "x-request-id",
        "x-tokenweir-call-id",
        # what it passed
        "age",
        "location",
        "server",
        "server-timing",
        "via",
        "x-accel-buffering",
        "x-cache",
        "x-envoy-upstream-service-time",
        "x-powered-by",
        # how much is left
        "retry-after",
        "retry-after-ms",
    ]
)
_SECRET = re.compile(r"auth|cookie|credential|key|password|secret|token", re.IGNORECASE)
_RATE_LIMITS = re.compile(r"x-ratelimit-(limit|remaining|reset)-[a-z-]+")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")
_LONGEST = 200


def shown_headers(
    headers: Iterable[tuple[str, str]], secrets: tuple[str, ...], *, every: bool = False
) -> tuple[list[tuple[str, str]], int]:
    """The headers that may be shown, names in lower case, and how many others there are.

    ``every``: all of them, whole, but for the values of those whose name says that they are secret.
    """
    shown: list[tuple[str, str]] = []
    withheld = 0
    for name, value in headers:
        name = name.lower()
        if name in _SHOWN or _RATE_LIMITS.fullmatch(name):
            value = _without_query(value) if name == "location" else value
            shown.append((name, _UNPRINTABLE.sub("?", mask(value, secrets))[: None if every else _LONGEST]))
        elif every:
            value = "(not shown)" if _SECRET.search(name) else _UNPRINTABLE.sub("?", mask(value, secrets))
            shown.append((name, value))
        else:
            withheld += 1
    return shown, withheld


def _without_query(location: str) -> str:
    """An address without what may be a token in it."""
    try:
        parts = urlsplit(location)
    except ValueError:
        return "?"
    return f"{parts.scheme}://{parts.hostname}{parts.path}" if parts.hostname else parts.path
