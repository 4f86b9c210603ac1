"""Header lines as they may be shown to people: the name of each, and the value only of those known to tell
something and to hold no secret. Names that nobody thought of are masked, too."""

from collections.abc import Iterable
from functools import lru_cache

__all__ = ["MASK", "is_telling", "masked"]

MASK = "****"

_TELLING = frozenset(
    [
        # what HTTP says of itself
        "accept",
        "accept-encoding",
        "age",
        "cache-control",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "date",
        "expect",
        "host",
        "keep-alive",
        "retry-after",
        "retry-after-ms",
        "server",
        "transfer-encoding",
        "user-agent",
        "vary",
        "via",
        # what Azure OpenAI, OpenAI, Anthropic and API Management say of a call
        "anthropic-version",
        "apim-request-id",
        "apim-trace-id",
        "azureml-model-session",
        "openai-model",
        "openai-processing-ms",
        "openai-version",
        "request-context",
        "request-id",
        "skip-error-remapping",
        "traceparent",
        "x-accel-buffering",
        "x-cache",
        "x-content-type-options",
        "x-ms-client-request-id",
        "x-ms-deployment-name",
        "x-ms-error-code",
        "x-ms-is-spilled-over",
        "x-ms-rai-invoked",
        "x-ms-region",
        "x-ms-request-id",
        "x-ms-served-model",
        "x-ms-stream",
        "x-request-id",
    ]
)
_TELLING_FAMILIES = ("anthropic-ratelimit-", "x-envoy-upstream-", "x-ratelimit-", "x-stainless-", "x-tokenweir-")


def is_telling(name: str) -> bool:
    """Whether the value of a header of this name is shown."""
    name = name.lower()
    return name in _TELLING or name.startswith(_TELLING_FAMILIES)


def masked(lines: Iterable[bytes]) -> list[tuple[str, str]]:
    """Names and values of header lines, in their order."""
    shown = []
    for line in lines:
        name, _, value = line.partition(b":")
        text, tells = _judged(name)
        shown.append((text, value.strip().decode("latin-1") if tells else MASK))
    return shown


@lru_cache(maxsize=4096)
def _judged(name: bytes) -> tuple[str, bool]:
    text = name.decode("latin-1")
    return text, is_telling(text)
