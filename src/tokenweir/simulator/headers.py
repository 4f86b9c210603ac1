"""The response headers that Azure sends, with the names that gateways and dashboards read."""

from email.utils import formatdate
from functools import lru_cache

from .said import Answer
from .script import Script
from .surface import AnswerContext, SimulatedCall

__all__ = ["identity", "response_headers"]

_RATE = {"requests": 2500, "tokens": 250_000}
_JSON = "application/json"


def response_headers(
    call: SimulatedCall, script: Script, moment: AnswerContext, said: Answer | None = None
) -> list[tuple[str, str]]:
    """The headers of an answer; ``said`` is what the model said, where it came to that."""
    stream = call.stream and said is not None
    region = script.region or moment.region
    headers = [("content-type", "text/event-stream; charset=utf-8" if stream else _JSON)]
    headers += identity(moment, azure=call.azure)
    for thing, limit in _RATE.items():
        used = said.prompt_tokens if said and thing == "tokens" else 1
        headers.append((f"x-ratelimit-limit-{thing}", str(limit)))
        headers.append((f"x-ratelimit-remaining-{thing}", str(max(0, limit - used))))
        headers.append((f"x-ratelimit-reset-{thing}", "0"))
    if script.latency:
        headers += [("cmp-upstream-response-duration", "278"), ("openai-processing-ms", "271")]
    if call.azure or script.region:
        headers.append(("x-ms-region", region))
    if call.azure and said is not None:
        headers += [
            ("azureml-model-session", "d20260526124601-421ae15f"),
            ("x-accel-buffering", "no"),
            ("x-ms-deployment-name", script.spillover_to or call.deployment or ""),
            ("x-ms-is-spilled-over", "true" if script.spillover_to else "false"),
            ("x-ms-rai-invoked", "true"),
            ("x-ms-served-model", script.served_model or said.model),
            ("x-ratelimit-key", call.deployment or ""),
        ]
    if script.spillover_to:
        headers.append(("x-ms-spillover-from-deployment", call.deployment or ""))
        headers.append(("x-ms-spillover-error", "429"))
    if script.gzip:
        headers.append(("content-encoding", "gzip"))
    return headers


def identity(moment: AnswerContext, *, azure: bool) -> list[tuple[str, str]]:
    """What every answer says of itself, errors too."""
    headers = [("date", _date(moment.created)), ("x-request-id", moment.id)]
    if azure:
        headers += [
            ("apim-request-id", moment.id),
            ("strict-transport-security", "max-age=31536000; includeSubDomains; preload"),
            ("x-content-type-options", "nosniff"),
        ]
    return headers


@lru_cache(maxsize=16)
def _date(created: int) -> str:
    return formatdate(created, usegmt=True)
