"""Which API a request means: Azure's dated routes, Azure's ``/openai/v1``, OpenAI's own ``/v1``,
and Anthropic's in Foundry."""

import re
from functools import lru_cache
from typing import Any

import msgspec

from ..apis import METERED
from .failures import Refused
from .forms import form_of
from .request import Request

__all__ = ["AUDIO", "Call", "full_model_name", "is_anthropic", "route"]

AUDIO = frozenset(["audio_transcriptions", "audio_translations"])
_STREAMED = frozenset(["chat_completions", "completions", "messages", "audio_transcriptions"])
_ANSWERS_POST = _STREAMED | AUDIO | {"embeddings", "count_tokens"}

_APIS = {path: surface.name for path, surface in METERED["openai"].items() if surface.name in _ANSWERS_POST}
_APIS["models"] = "models"
_ANTHROPIC_APIS = {"messages": "messages", "messages/count_tokens": "count_tokens"}

_DEPLOYMENT = re.compile(r"/openai/deployments/(?P<deployment>[^/]+)/(?P<operation>.+)")
_AZURE_V1 = re.compile(r"/openai/v1/(?P<operation>.+)")
_AZURE = re.compile(r"/openai/(?P<operation>.+)")
_ANTHROPIC = re.compile(r"/anthropic/v1/(?P<operation>.+)")
_OPENAI = re.compile(r"/v1/(?P<operation>.+)")

_OBJECT = msgspec.json.Decoder(dict[str, Any])

_DATED = re.compile(r"-(\d{4}|\d{4}-\d\d-\d\d)$")
_SNAPSHOTS = {
    "gpt-35-turbo": "gpt-35-turbo",
    "gpt-3.5-turbo": "gpt-3.5-turbo-0125",
    "gpt-4-turbo": "gpt-4-turbo-2024-04-09",
    "gpt-4o-mini": "gpt-4o-mini-2024-07-18",
    "gpt-4o": "gpt-4o-2024-11-20",
    "gpt-4.1-mini": "gpt-4.1-mini-2025-04-14",
    "gpt-4.1-nano": "gpt-4.1-nano-2025-04-14",
    "gpt-4.1": "gpt-4.1-2025-04-14",
    "gpt-4": "gpt-4-0613",
    "gpt-5-mini": "gpt-5-mini-2025-08-07",
    "gpt-5-nano": "gpt-5-nano-2025-08-07",
    "gpt-5": "gpt-5-2025-08-07",
    "o1": "o1-2024-12-17",
    "o3-mini": "o3-mini-2025-01-31",
    "o3": "o3-2025-04-16",
    "o4-mini": "o4-mini-2025-04-16",
    "text-embedding-3-large": "text-embedding-3-large",
    "text-embedding-3-small": "text-embedding-3-small",
    "text-embedding-ada-002": "text-embedding-ada-002",
}
_BY_LENGTH = sorted(_SNAPSHOTS, key=len, reverse=True)


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A request that has found its API. ``body`` is the decoded JSON of an API that needs it."""

    request: Request
    api: str
    """The name of a surface that is answered here; ``count_tokens``, ``models`` or ``other``."""
    operation: str
    azure: bool
    deployment: str | None = None
    """What the caller asked for: the deployment in the path, or the model in the body."""
    api_version: str | None = None
    body: dict[str, Any] = {}

    @property
    def stream(self) -> bool:
        return self.api in _STREAMED and self.body.get("stream") is True

    @property
    def include_usage(self) -> bool:
        options = self.body.get("stream_options")
        return isinstance(options, dict) and options.get("include_usage") is True


def route(request: Request) -> Call:
    """Raises Refused (404, 405, 400) as Azure does."""
    path = request.path
    version = request.query.get("api-version")
    if match := _AZURE_V1.fullmatch(path):
        return _call(request, match["operation"], azure=True, version=version)
    if match := _ANTHROPIC.fullmatch(path):
        if match["operation"] not in _ANTHROPIC_APIS:
            raise Refused.not_found()
        return _call(request, match["operation"], azure=True, version=None, apis=_ANTHROPIC_APIS)
    if match := _OPENAI.fullmatch(path):
        return _call(request, match["operation"], azure=False, version=None)
    match = _DEPLOYMENT.fullmatch(path) or _AZURE.fullmatch(path)
    if match is None or not version:
        raise Refused.not_found()
    deployment = match.groupdict().get("deployment")
    return _call(request, match["operation"], azure=True, version=version, deployment=deployment)


def is_anthropic(path: str) -> bool:
    """Whether answers at ``path`` are in Anthropic's words."""
    return _ANTHROPIC.fullmatch(path) is not None


def _call(
    request: Request,
    operation: str,
    *,
    azure: bool,
    version: str | None,
    deployment: str | None = None,
    apis: dict[str, str] = _APIS,
) -> Call:
    api = apis.get(operation, "other")
    body: dict[str, Any] = {}
    if api in _ANSWERS_POST:
        if request.method != "POST":
            raise Refused(405, {"code": "405", "message": f"{request.method} is not allowed here; use POST"})
        body = _form(request) if api in AUDIO else _json_object(request.body)
        model = body.get("model")
        deployment = deployment or (model if isinstance(model, str) else None)
        if deployment is None and apis is _APIS:
            raise Refused.bad_request("you must provide a model parameter", "model")
    return Call(
        request=request,
        api=api,
        operation=operation,
        azure=azure,
        deployment=deployment,
        api_version=version,
        body=body,
    )


def _form(request: Request) -> dict[str, Any]:
    try:
        body = form_of(request.headers.get("content-type", ""), request.body)
    except ValueError as error:
        raise Refused.bad_request(f"We could not parse the form of your request: {error}") from error
    if not isinstance(body.get("file"), bytes):
        raise Refused.bad_request("Missing required parameter: 'file'.", "file", "missing_required_parameter")
    if "stream" in body:
        body["stream"] = body["stream"] == "true" and not str(body.get("model")).startswith("whisper")
    return body


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        return _OBJECT.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused.bad_request(f"We could not parse the JSON body of your request: {error}") from error


@lru_cache(maxsize=1024)
def full_model_name(deployment: str | None, api: str) -> str:
    """The dated model behind a deployment's name, guessed as people name deployments (``gpt-4o-ptu``)."""
    name = deployment or ""
    for known in _BY_LENGTH:
        if name.startswith(known):
            return name if _DATED.search(name) else _SNAPSHOTS[known]
    return "text-embedding-3-small" if api == "embeddings" else "gpt-4o-2024-11-20"
