"""What one request asks the simulator to do, and where in the request it says so.

Read from, first found: the header ``x-simulate``, the body's member ``simulation`` (both a JSON object
with the members of ``Script``), or ``messages[0].content.simulation`` in the form of the AI-Gateway
mock server: ``{"default": {"response_status_code": 429, "wait_time_ms": 100}}``, a key per host name.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from ..errors import ConfigError, nearest
from ..records import Duration
from .failures import Refused

__all__ = ["HEADER", "Fault", "Script", "read_script", "script_from"]

HEADER = "x-simulate"

Count = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[int, msgspec.Meta(ge=1)]
Fault = Literal["error_frame", "reset", "close", "hang"]

_FAULTS: tuple[Fault, ...] = ("error_frame", "reset", "close", "hang")


class Script(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The members of ``x-simulate``. Durations are seconds, or text such as ``"20ms"``.

    The ``…_after`` faults count chunks that carry model output: 0 is before the response head, and an
    answer that has fewer chunks meets its fault after the last of them. A JSON answer has one chunk;
    a fault after it strikes in the middle of the body.
    """

    # what the model says; text is prose with exactly this many tokens
    output_tokens: Count | None = None
    """Of the text or the calls; without it, a sentence or two."""
    reasoning_tokens: Count = 0
    """Before the text, not shown; Claude has to be asked for thinking."""
    cached_tokens: Count = 0
    """Of the prompt."""
    cache_write_tokens: Count = 0
    """Of the prompt, besides the cached ones."""
    cache_write_1h_tokens: Count = 0
    """Of those written to a cache, the ones that Claude keeps for an hour."""
    tool_calls: Count | None = None
    """How many; without it, one where ``tool_choice`` forces one, else none."""
    server_tool_calls: Count = 0
    """How often each built-in tool that a response or a message is offered runs (web_search, file_search…)."""
    refusal: bool = False
    """The text is a refusal."""
    finish_reason: str | None = None
    """Without it, what came about: ``stop``, ``length`` or ``tool_calls``."""
    model: str | None = None
    """The model that answers; without it, what the deployment's name says."""
    service_tier: str | None = None
    """Without it, the one that was asked for."""
    polls: Count = 1
    """How often a background response or a job is seen at work before it is seen done."""

    # when: the head and the first frames after the first, each chunk of output after the second
    first_byte_delay: Duration = Duration(0)
    """Before the head and the first frames."""
    chunk_delay: Duration = Duration(0)
    """Before each chunk of output."""

    # what it looks like
    chunk_tokens: Positive | None = None
    """Tokens of output in a chunk; without it 3, as with Azure's default filter, or 1 where nothing filters."""
    usage: Literal["auto", "withheld"] = "auto"
    """Whether the answer says what was used."""
    filters: bool | None = None
    """Prompt and content filter results; without it, on Azure's routes only."""
    async_filter: bool = False
    """Filter results in frames of their own that have no delta, the last of them after the stop."""
    obfuscation: bool = False
    """Padding in each frame, so that their lengths tell nothing."""
    latency: bool = False
    """Azure's checkpoints of latency, in the usage and in headers."""
    region: str | None = None
    """What ``x-ms-region`` says."""
    served_model: str | None = None
    """What ``x-ms-served-model`` says."""
    spillover_to: str | None = None
    """The deployment that answers instead of the one that was asked."""

    # how it travels
    no_done: bool = False
    """A stream ends without ``[DONE]``."""
    crlf: bool = False
    """Lines of events end in CR LF."""
    comments: bool = False
    """A comment before each event."""
    gzip: bool = False
    """The body is compressed, and each event can be unpacked as soon as it has come."""
    split: Positive | None = None
    """The body goes out this many bytes at a time, each in an HTTP chunk and a write of its own."""

    # what goes wrong
    status: Annotated[int, msgspec.Meta(ge=400, le=599)] | None = None
    """An error answer, in Azure's or Anthropic's words."""
    retry_after: Duration | None = None
    """The headers ``retry-after`` and ``retry-after-ms`` of an error answer; without it, 1 s for a 429."""
    prompt_filter: bool = False
    """The 400 by which Azure refuses a prompt, and bills it."""
    refuse_stream_options: bool = False
    """The 400 by which old api-versions refuse ``stream_options``."""
    error_frame_after: Count | None = None
    """An error within the stream, after so many chunks of output; a status of 500 where nothing is streamed."""
    reset_after: Count | None = None
    """A TCP reset."""
    close_after: Count | None = None
    """The connection closes without a proper end of the body."""
    hang_after: Count | None = None
    """Nothing more comes."""
    fail_times: Positive | None = None
    """Only so many requests of this ``id`` go wrong; with no other fault, with a status of 500."""
    id: str = ""
    """Counts ``fail_times``; without it, equal scripts are counted together."""

    def __post_init__(self) -> None:
        faults = [f"{name}_after" for name in _FAULTS if getattr(self, f"{name}_after") is not None]
        if len(faults) > 1:
            raise ValueError(f"{' and '.join(faults)} cannot both happen; ask for one of them")

    def fault(self) -> tuple[Fault, int] | None:
        """What breaks the answer, and after how many chunks."""
        for name in _FAULTS:
            after: int | None = getattr(self, f"{name}_after")
            if after is not None:
                return name, after
        return None

    def without_faults(self) -> "Script":
        """The same answer, gone well."""
        return msgspec.structs.replace(
            self,
            status=None,
            prompt_filter=False,
            refuse_stream_options=False,
            error_frame_after=None,
            reset_after=None,
            close_after=None,
            hang_after=None,
            fail_times=None,
        )

    def text(self) -> str:
        """JSON, as ``x-simulate`` carries it."""
        return msgspec.json.encode(self, enc_hook=float).decode()

    def headers(self) -> dict[str, str]:
        """The header to send: ``extra_headers=Script(output_tokens=5).headers()``."""
        return {HEADER: self.text()}


_FIELDS = frozenset(Script.__struct_fields__)


def read_script(headers: Mapping[str, str], body: Any, usual: Script | None = None) -> Script:
    """The request's script, else the usual one. Raises Refused (400) where it cannot be understood."""
    if (text := headers.get(HEADER)) is not None:
        try:
            told = msgspec.json.decode(text)
        except msgspec.DecodeError as error:
            raise Refused.bad_request(f"The header {HEADER} is not JSON: {error}", HEADER) from error
        return _script(told, HEADER)
    if not isinstance(body, dict):
        return usual or Script()
    if "simulation" in body:
        return _script(body["simulation"], "simulation")
    return _mock_server_script(body, headers.get("host", "")) or usual or Script()


def script_from(text: str) -> Script:
    """The usual script of a simulator, as JSON. Raises ConfigError where it cannot be understood."""
    try:
        return _script(msgspec.json.decode(text), "The script")
    except (Refused, msgspec.DecodeError) as error:
        raise ConfigError(f"The simulator cannot follow its script: {error}") from error


def _script(told: Any, place: str) -> Script:
    if not isinstance(told, dict):
        raise Refused.bad_request(f'{place} must be a JSON object, such as {{"output_tokens": 20}}', place)
    for key in told:
        if key not in _FIELDS:
            meant = nearest(key, _FIELDS)
            hint = f"did you mean {meant}?" if meant else f"known are: {', '.join(sorted(_FIELDS))}"
            raise Refused.bad_request(f"{place} has no member {key}; {hint}", place)
    try:
        return msgspec.convert(told, Script, dec_hook=lambda kind, value: kind.parse(value))
    except msgspec.ValidationError as error:
        raise Refused.bad_request(f"{place}: {error}", place) from error


class _Told(msgspec.Struct):
    """What the AI-Gateway mock server is told for one host."""

    response_status_code: int = 200
    wait_time_ms: float = 0


def _mock_server_script(body: dict[str, Any], host: str) -> Script | None:
    try:
        content = body["messages"][0]["content"]
        hosts = content.get("simulation", content)
        told = hosts.get(host.rsplit(":", 1)[0]) or hosts["default"]
    except (AttributeError, IndexError, KeyError, TypeError):
        return None
    try:
        said = msgspec.convert(told, _Told)
    except msgspec.ValidationError as error:
        raise Refused.bad_request(f"messages[0].content.simulation: {error}", "messages") from error
    return Script(
        status=said.response_status_code if said.response_status_code >= 400 else None,
        first_byte_delay=Duration(said.wait_time_ms / 1000),
    )
