"""The shapes of answers, a stream's frame and a whole body alike.

Only what metering asks for is named; everything else is skipped without being built. msgspec makes these
classes, which cannot be compiled: behaviour stands in other modules.
"""

from typing import Any

import msgspec

__all__ = [
    "ApiAnswer",
    "CalledTool",
    "AnswerChoice",
    "CustomCall",
    "ResponseEvent",
    "EventAnswer",
    "FunctionCall",
    "JobKind",
    "LooseAnswer",
    "AnswerMessage",
    "ResponseObject",
    "UpstreamTools",
]


class JobKind(msgspec.Struct, frozen=True):
    """One kind of job."""

    name: str
    path: str
    """Where jobs are made and, with ``/{id}``, asked for."""
    objects: tuple[str, ...]
    """The ``object`` of what is answered about one."""
    ended: frozenset[str]
    """Its ``status`` once nothing more will be used."""
    surface: str = "other"
    """As which answers about one are read."""
    id_prefix: str = ""
    """What their ids begin with, where calls of their own stand at the same path."""
    is_metered_daily: bool = False
    """Whether it uses something every day that it is there, and not once."""


class FunctionCall(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class CustomCall(msgspec.Struct, gc=False):
    """A call of a tool that takes free text."""

    name: str | None = None
    input: str | None = None


class CalledTool(msgspec.Struct, gc=False):
    index: int | None = None
    function: FunctionCall | None = None
    custom: CustomCall | None = None


class AnswerMessage(msgspec.Struct, gc=False):
    """A frame's ``delta`` or a body's ``message``."""

    content: str | list[Any] | None = None
    reasoning_content: Any = None
    reasoning: Any = None
    reasoning_details: Any = None
    audio: Any = None
    refusal: str | None = None
    tool_calls: list[CalledTool] | None = None
    function_call: FunctionCall | None = None


class AnswerChoice(msgspec.Struct, gc=False):
    index: int | None = None
    delta: AnswerMessage | None = None
    message: AnswerMessage | None = None
    text: str | None = None
    finish_reason: str | None = None


class UpstreamTools(msgspec.Struct, gc=False):
    """What the upstream's own tools did for an answer."""

    usage: dict[str, Any] | None = None
    """Its ``tool_usage``."""
    calls: dict[str, int] = {}
    """Items of output by type."""
    are_all: bool = False
    """Whether these are all the calls of the answer; otherwise they come on top of those before."""
    counted: dict[str, int] = {}
    """What is billed beside tokens, by the names of `QUANTITIES`; all of it, or on top, as the calls."""


class ApiAnswer(msgspec.Struct, gc=False):
    id: str | None = None
    model: str | None = None
    choices: list[AnswerChoice] | None = None
    usage: dict[str, Any] | None = None
    service_tier: str | None = None
    error: Any = None
    status_code: Any = msgspec.field(default=None, name="statusCode")
    """API Management's own errors have this instead of ``error``."""

    @property
    def tools(self) -> "UpstreamTools | None":
        """What the upstream's own tools did, of which chats say nothing."""
        return None

    @property
    def job(self) -> dict[str, Any] | None:
        """What it says of a job that goes on without the call: see ``jobs.py``."""
        return None

    @property
    def ends(self) -> bool:
        """Whether it says by itself that nothing follows; a chat's stream has ``[DONE]`` for that."""
        return False

    @property
    def error_code(self) -> str:
        """An error's code, or its type where the code is null, or ``"error"`` where there is neither."""
        stated = self.error if isinstance(self.error, dict) else {}
        code = stated.get("code") or stated.get("type") or self.status_code
        return str(code) if isinstance(code, (str, int)) else "error"


class LooseAnswer(msgspec.Struct):
    id: Any = None
    model: Any = None
    choices: Any = None
    usage: Any = None
    service_tier: Any = None
    error: Any = None
    status_code: Any = msgspec.field(default=None, name="statusCode")


class ResponseObject(msgspec.Struct, gc=False):
    """A body of the Responses API, or what an event of it holds."""

    id: Any = None
    model: Any = None
    status: Any = None
    output: Any = None
    usage: Any = None
    tool_usage: Any = None
    service_tier: Any = None
    error: Any = None
    incomplete_details: Any = None
    background: Any = None
    object: Any = None
    created_at: Any = None
    completed_at: Any = None
    status_code: Any = msgspec.field(default=None, name="statusCode")


class ResponseEvent(ResponseObject, gc=False):
    """An event, or a body, which is a response and nothing else."""

    type: Any = None
    code: Any = None
    response: ResponseObject | None = None
    delta: Any = None
    item: Any = None
    output_index: Any = None


class EventAnswer(ApiAnswer, gc=False):
    """Of an API whose events say which one is the last."""

    is_last: bool = False
    did: UpstreamTools | None = None
    started: dict[str, Any] | None = None

    @property
    def job(self) -> dict[str, Any] | None:
        return self.started

    @property
    def ends(self) -> bool:
        return self.is_last

    @property
    def tools(self) -> UpstreamTools | None:
        return self.did
