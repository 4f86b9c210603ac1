"""``tokenweir stream``: one streamed call, or many, with the delay of every chunk and what was odd about it."""

import os
import re
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from .params import ConfigOption, load_config

if TYPE_CHECKING:
    from ..stopwatch import Moment, Planned, StreamTarget, Via
    from .streaming import Shows, Tracer, View

__all__ = ["stream"]

Api = Literal["chat", "completions", "responses"]
Ways = Literal["http", "sdk", "both"]

_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):\s*([\x20-\x7e]*)")
_PIPE_WIDTH = 102
_USUAL_KEYS = "AZURE_OPENAI_API_KEY or OPENAI_API_KEY"


def stream(
    prompt: Annotated[str | None, typer.Argument(metavar="PROMPT", help="What to ask.", show_default=False)] = None,
    endpoint: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Azure OpenAI, API Management, a gateway; or a base URL that ends in /v1.",
            show_default="AZURE_OPENAI_ENDPOINT, OPENAI_BASE_URL, or the gateway configured here",
        ),
    ] = None,
    profile: Annotated[
        str | None, typer.Option(metavar="NAME", help="An endpoint that the configuration has a profile for.")
    ] = None,
    deployment: Annotated[
        str | None,
        typer.Option("--deployment", "--model", metavar="NAME", help="What to ask for.", show_default="gpt-4o"),
    ] = None,
    api: Annotated[Api | None, typer.Option(help="The API to call.", show_default="chat")] = None,
    api_version: Annotated[
        str | None, typer.Option(metavar="DATE", show_default="OPENAI_API_VERSION, or 2024-10-21")
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            help="The key. Other users of this machine can see it; a variable hides it.",
            show_default=_USUAL_KEYS,
        ),
    ] = None,
    key_env: Annotated[str | None, typer.Option(metavar="VARIABLE", help="The variable that holds the key.")] = None,
    key_header: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Its header, like Ocp-Apim-Subscription-Key.",
            show_default="api-key, or Authorization for /v1",
        ),
    ] = None,
    via: Annotated[Ways, typer.Option(help="By raw HTTP, by the official SDK, or one after the other.")] = "http",
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="A B", help="Call two endpoints in turn, each a profile or a URL, and compare them."),
    ] = None,
    repeat: Annotated[int, typer.Option(min=1, metavar="N", help="Make N calls.")] = 1,
    concurrency: Annotated[int, typer.Option(min=1, max=256, metavar="N", help="N calls at a time.")] = 1,
    header: Annotated[
        list[str] | None, typer.Option(metavar="NAME:VALUE", help="Send this header, too; repeatable.")
    ] = None,
    body: Annotated[
        str | None, typer.Option(metavar="JSON", help="Members for the body: '{\"max_tokens\": 50}'; null removes one.")
    ] = None,
    usage: Annotated[bool, typer.Option("--usage/--no-usage", help="Ask for the usage with stream_options.")] = True,
    timeout: Annotated[str, typer.Option(metavar="TIME", help="The longest silence to wait through.")] = "2m",
    chunks: Annotated[bool, typer.Option("--chunks/--no-chunks", help="Show each chunk of a single call.")] = True,
    text: Annotated[bool, typer.Option("--text", help="Show the whole answer as text, besides.")] = False,
    raw: Annotated[bool, typer.Option("--raw", help="Show each event, or any other body, as it came.")] = False,
    headers: Annotated[
        bool, typer.Option("--headers", help="Show all headers of the answer; what may be secret in them is hidden.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print lines of JSON instead.")] = False,
    trace: Annotated[
        bool,
        typer.Option(
            "--trace",
            help="Have the gateway trace the call, and show what it says; with APIM_SERVICE_ID and MANAGEMENT_TOKEN, "
            "API Management.",
        ),
    ] = False,
    save: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Keep what came, with its times; without prompt and key."),
    ] = None,
    replay: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Show again what --save kept, at its own pace.")
    ] = None,
    speed: Annotated[float, typer.Option(min=0.001, metavar="N", help="Replay N times as fast.")] = 1.0,
    file: ConfigOption = None,
) -> None:
    """Make a streamed call; show when each chunk came, what the pace was, and what on the way breaks streaming.

    Exit code 1 if a call failed or its stream was broken or held up, 130 after Ctrl-C, which still shows what had come.
    """
    from .streaming import DEBUG_HEADER, Asked, Shows, Tracer, target_for

    if trace and (replay or compare or repeat > 1 or via == "both"):
        raise typer.BadParameter("--trace is for one call; leave --replay, --compare, --repeat and --via both away")
    if (text or raw or headers) and (compare or repeat > 1 or via == "both"):
        raise typer.BadParameter("--text, --raw and --headers are for one call; leave --compare and --repeat away")
    shows = Shows(events=chunks, raw=raw, text=text)
    if replay is not None:
        if headers:
            raise typer.BadParameter("--headers is for a call; --save keeps only headers that are known to be harmless")
        if prompt is not None or save is not None:
            raise typer.BadParameter("--replay shows what was saved; it takes no PROMPT and no --save")
        _replay(replay, speed, as_json=as_json, shows=shows)
        return
    if not prompt:
        raise typer.BadParameter("a PROMPT is needed, or --replay FILE")
    if compare and (endpoint or profile):
        raise typer.BadParameter("--compare names both endpoints; leave --endpoint and --profile away")
    if endpoint and profile:
        raise typer.BadParameter("--endpoint and --profile name two endpoints; --compare calls both")
    config = load_config(file, checked=False).config
    tracer = Tracer(config, os.environ) if trace else None
    token = [(DEBUG_HEADER, tracer.debug_token())] if tracer is not None else []
    asked = Asked(
        endpoint=endpoint,
        key=key,
        key_env=key_env,
        key_header=key_header,
        deployment=deployment,
        api=api,
        api_version=api_version,
        headers=(*(_header(text) for text in header or []), *token),
        every_header=headers,
        members=_members(body, usage=usage),
    )
    names = compare or (profile,)
    targets = [target_for(name, asked, config, os.environ) for name in names]
    plan, labels = _plan(targets, ("http", "sdk") if via == "both" else (via,), repeat)
    _call(
        plan,
        labels,
        prompt,
        concurrency=concurrency,
        timeout=_seconds(timeout),
        as_json=as_json,
        shows=shows,
        save=save,
        tracer=tracer,
    )


def _plan(targets: "list[StreamTarget]", vias: "Sequence[Via]", repeat: int) -> "tuple[list[Planned], list[str]]":
    """All calls in order, and what the column of each is called.

    Every other round goes backwards, so that what changes in time changes for all alike.
    """
    from ..stopwatch import Planned

    names = _distinct([target.name for target in targets])
    ways = [
        (Planned(target, via), _label(name, via, names, vias))
        for name, target in zip(names, targets, strict=True)
        for via in vias
    ]
    rounds = [ways if number % 2 == 0 else ways[::-1] for number in range(repeat)]
    planned = [way for ways in rounds for way in ways]
    return [call for call, _ in planned], [label for _, label in planned]


def _label(name: str, via: str, names: Sequence[str], vias: Sequence[str]) -> str:
    if len(vias) == 1:
        return name
    return via if len(names) == 1 else f"{name}, {via}"


def _distinct(names: list[str]) -> list[str]:
    return names if len(set(names)) == len(names) else [f"{name} #{n}" for n, name in enumerate(names, 1)]


def _call(
    plan: "list[Planned]",
    labels: list[str],
    prompt: str,
    *,
    concurrency: int,
    timeout: float,
    as_json: bool,
    shows: "Shows",
    save: Path | None,
    tracer: "Tracer | None",
) -> None:
    from ..records import SystemClock
    from ..stopwatch import CaptureFile, Head, Running, require_sdk
    from .streaming import CaptureSession, show_trace

    if any(call.via == "sdk" for call in plan):
        require_sdk()
    source = plan[0].target.key_source
    key = f"with the key from {source}" if source else "without a key"
    running = Running(plan, prompt, concurrency=concurrency, timeout=timeout, clock=SystemClock())
    with ExitStack() as stack:
        kept = stack.enter_context(CaptureFile(save)) if save is not None else None
        view = _view(labels, as_json=as_json, shows=shows, key=key)
        seen = CaptureSession(view, kept)
        answered: dict[str, str] = {}
        try:
            for number, moment in running:
                seen.take(number, moment)
                if isinstance(moment, Head):
                    answered = dict(moment.headers)
        except KeyboardInterrupt:
            running.stop()
            seen.interrupt(running.elapsed)
            view.close()
            raise typer.Exit(130) from None
        view.close()
    if tracer is not None:
        show_trace(tracer, answered, plan[0].target, as_json=as_json)
    raise typer.Exit(1 if seen.is_bad else 0)


def _replay(path: Path, speed: float, *, as_json: bool, shows: "Shows") -> None:
    """One call at its own pace; of many, what they amount to."""
    import time

    from ..records import SystemClock
    from ..stopwatch import read_captures, replay
    from .streaming import CaptureSession

    calls = read_captures(path)
    view = _view(_labels_of(calls), as_json=as_json, shows=shows, key=f"as kept in {path}")
    seen = CaptureSession(view, None)
    last = 0.0
    try:
        for number, moments in enumerate(calls):
            for moment in replay(moments, speed, SystemClock(), time.sleep) if len(calls) == 1 else moments:
                seen.take(number, moment)
                last = getattr(moment, "at", last)
    except KeyboardInterrupt:
        seen.interrupt(lambda number: last)
        view.close()
        raise typer.Exit(130) from None
    view.close()
    raise typer.Exit(1 if seen.is_bad else 0)


def _labels_of(calls: "list[list[Moment]]") -> list[str]:
    """The columns of calls that were kept."""
    from ..stopwatch import Began

    began = [call[0] for call in calls if isinstance(call[0], Began)]
    names, vias = list({each.name for each in began}), list({each.via for each in began})
    return [_label(each.name, each.via, names, vias) for each in began]


def _view(labels: list[str], *, as_json: bool, shows: "Shows", key: str) -> "View":
    from rich.console import Console

    from .streaming import JsonLines, LiveView, ManyView

    if as_json:
        return JsonLines(labels, shows=shows)
    # A pipe has no width: nothing is folded or cut for one.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    if len(labels) == 1:
        return LiveView(console, shows=shows, key=key)
    return ManyView(console, Console(stderr=True), labels)


def _header(text: str) -> tuple[str, str]:
    found = _HEADER.fullmatch(text)
    if found is None:
        raise typer.BadParameter("a --header is written like 'name: value'")
    return found[1], found[2].strip()


def _members(body: str | None, *, usage: bool) -> dict[str, Any]:
    import msgspec

    members: dict[str, Any] = {} if usage else {"stream_options": None}
    if body is None:
        return members
    try:
        return members | msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise typer.BadParameter(f"--body must be a JSON object: {error}") from error


def _seconds(text: str) -> float:
    from ..records import Duration

    try:
        seconds = Duration.parse(text)
    except ValueError as error:
        raise typer.BadParameter(f"--timeout: {error}") from error
    if seconds <= 0:
        raise typer.BadParameter("--timeout must be more than zero")
    return float(seconds)
