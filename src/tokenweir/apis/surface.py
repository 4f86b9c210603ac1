"""The description of a surface: everything that the house has to know of one API that it relays.

A surface's own module fills it in; ``apis/__init__.py`` lists them. Who asks is named with each group of fields.
"""

import re
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from ..records import Quantity
from ..wire import Path
from .answer import answer_of, read_answer
from .digest import FACTS
from .structs import ApiAnswer

__all__ = ["Surface"]

# The first non-empty string under a key that carries model output, or the opening of a tool call. Quotes
# inside a JSON string are escaped, so no text can look like a key. Filters' frames have none of these keys.
_OUTPUT = re.compile(
    rb'"(?:content|text|arguments|refusal|reasoning_content|reasoning|transcript|data)"\s*:\s*"[^"]'
    rb'|"(?:function|function_call|custom)"\s*:\s*\{'
)


class Surface(msgspec.Struct, frozen=True, kw_only=True):
    """One API: its addresses, how a request names its model, how an answer is read, and what others call it."""

    name: str
    """The ``api`` of its records. ``other``: relayed and not metered."""
    operation: str
    """The ``operation`` of its records."""

    # addresses (gateway/routes, upstream/dialect)
    root: Literal["openai", "anthropic"] = "openai"
    """Where `paths` begin: behind ``/openai/deployments/{deployment}/``, ``/openai/v1/``, ``/v1/`` and ``/openai/``, or
    behind ``/anthropic/v1/``."""
    paths: tuple[str, ...]
    """Ends of paths. A POST is the call; other methods concern stored answers."""
    socket_paths: tuple[str, ...] = ()
    """Ends of paths at which a WebSocket can be opened, on which answers are told."""
    methods: tuple[str, ...] = ("GET", "HEAD", "POST", "OPTIONS", "DELETE")
    """What is let through at these paths."""

    # the request (gateway/accept, choose, connect)
    body: Literal["json", "form", "either"] = "json"
    """Whether members of a JSON object say what is asked for, or fields of a form with a file (multipart/form-data), or
    either, as the request's Content-Type says."""
    has_deployment_path: bool = True
    """Whether the dated API has it under ``/openai/deployments/{deployment}/``, where the path names the deployment.
    Where it does not, the member ``model`` names it, as it does on v1 paths."""
    needs_model: bool = True
    """Whether a request whose path names no deployment has to name a model."""
    prompt: str = ""
    """The member that holds what is asked."""
    asks_for_usage: bool = False
    """Whether a stream tells its usage only where ``stream_options.include_usage`` asks for it."""

    # the answer (metering/)
    read_answer: Callable[[bytes], ApiAnswer | None] = read_answer
    """One JSON object of an answer, an event's or a whole body; None where it is none."""
    answer_of: Callable[[dict[str, Any]], ApiAnswer | None] = answer_of
    """The same of facts that were found in an object too long to be decoded."""
    facts: dict[Path, int] = msgspec.field(default_factory=lambda: FACTS)
    """Where facts stand in an object too long to be decoded, and the most bytes of each."""
    output: re.Pattern[bytes] = _OUTPUT
    """What the first event with output of the model holds, in at most 72 bytes."""
    ends_with_done: bool = True
    """Whether ``[DONE]`` ends its streams."""
    may_be_text: bool = False
    """Whether an answer that is no JSON may be what was asked for."""
    facts_are_last: bool = False
    """Whether model and usage stand behind everything else in a body, so that only its end need be decoded."""

    # usage and estimates (metering/)
    usage: Literal["prompt_tokens", "input_tokens"] = "prompt_tokens"
    """Its name for the tokens of the input, which counts where an object has both."""
    counts_of: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    """The same usage by OpenAI's names and in its sense, where it has other ones."""
    quantities_of: Callable[[dict[str, Any]], dict[str, Quantity]] | None = None
    """What a usage says beside tokens, by the names of `QUANTITIES`."""
    units: tuple[str, ...] = ("tokens",)
    """What it is billed by; nothing where it is not billed."""
    estimate: Literal["chat", "text", "response", "input"] | None = None
    """How the usage of a call is counted that did not report it; None: it is not."""

    asked_for: Callable[[bytes], dict[str, Quantity]] | None = None
    """What a request's body says that is billed beside tokens, where the answer told no usage: how much there was to
    read or to hear. Takes its time: not for the event loop."""
    as_chat: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    """The request as the chat that it amounts to, with the same words in it; whatever has an odd shape is left out."""

    # names elsewhere (sinks, intake, docs)
    title: str = ""
    """For people."""
    event_operation: str | None = None
    """As API Management's ``apiOperation`` and the custom event's ``ApiOperation`` call it; None: as `name`."""
    object_name: str | None = None
    """The ``object`` of its answers."""
    otel_operation: str | None = None
    """OpenTelemetry's ``gen_ai.operation.name``."""
    openai_api_type: str | None = None
    """OpenTelemetry's ``openai.api.type``."""
    has_choices: bool = False
    """Whether its answers hold what a model said, in ``choices`` as chats have them, or in blocks of content."""

    @property
    def is_metered(self) -> bool:
        return bool(self.paths or self.socket_paths)
