"""``tokenweir estimate``: how many tokens a request asks with; and how good such estimates are, over recorded calls."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .params import Format, FormatOption

if TYPE_CHECKING:
    from .recordings import Score

__all__ = ["estimate"]

_COLUMNS = ("kind", "calls", "exact", "within 2", "within 5", "in sum")


def estimate(
    body: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="The request's JSON body; - reads it from standard input."),
    ] = None,
    api: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The surface, as records call it.", show_default="by the body's members"),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Counts as this model does.", show_default="the one that the body names")
    ] = None,
    recordings: Annotated[
        Path | None,
        typer.Option(metavar="DIRECTORY", help="Instead: compare estimates with the usage in recorded answers."),
    ] = None,
    half: Annotated[
        int | None,
        typer.Option(min=0, max=1, help="Of the recordings, by the hash of their names.", show_default="all"),
    ] = None,
    format: FormatOption = "table",
) -> None:
    """Count the tokens of a request before it is sent, as the gateway counts where nobody reports them.

    With --recordings, say how good that is: prompts and answers by what they hold, and how many of them are counted
    exactly, within 2 and within 5 tokens. docs/guides/estimates.md says what can be counted and what cannot.
    """
    if recordings is not None:
        _compare(recordings, half, format)
    elif body is not None:
        from .output import print_json

        print_json(_count(sys.stdin.buffer.read() if str(body) == "-" else _read(body), api, model))
    else:
        raise typer.BadParameter("Give the file of a request's body, or --recordings.")


def _read(file: Path) -> bytes:
    from ..errors import ConfigError

    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(f"The request cannot be read: {error}") from error


def _count(body: bytes, api: str | None, model: str | None) -> dict[str, object]:
    from ..apis import SURFACES
    from ..errors import ConfigError, quoted
    from ..metering import estimate
    from ..vocabulary import encoding_name
    from ..wire import decode_json

    request = decode_json(body)
    if not isinstance(request, dict):
        raise ConfigError("The request's body is no JSON object.")
    known = [surface.name for surface in SURFACES if surface.estimate is not None]
    api = api or _api_of(request)
    if api not in known:
        raise ConfigError(f"No prompts of {quoted(api)} are counted; --api is one of {', '.join(known)}.")
    named = model or request.get("model")
    model = named if isinstance(named, str) else None
    counted = estimate(api, body, None, model, ended_normally=False, azure=False)
    return {"api": api, "model": model, "encoding": encoding_name(model), "input_tokens": counted.input_tokens}


def _api_of(request: dict[str, object]) -> str:
    """By the member that holds what is asked."""
    model = str(request.get("model"))
    if "messages" in request:
        return "messages" if model.startswith("claude") else "chat_completions"
    if "prompt" in request:
        return "completions"
    return "embeddings" if "embedding" in model else "responses"


def _compare(folder: Path, half: int | None, format: Format) -> None:
    from .output import print_rows
    from .recordings import compare, read_recordings

    prompts, answers = compare(read_recordings(folder), half)
    rows = [_row(f"prompt: {kind}", prompts[kind]) for kind in sorted(prompts)]
    rows += [_row(f"answer: {kind}", answers[kind]) for kind in sorted(answers)]
    print_rows(_COLUMNS, rows, format)


def _row(kind: str, score: "Score") -> tuple[str | int, ...]:
    shares = (f"{score.share(within):.0%}" for within in (0, 2, 5))
    return (kind, len(score.errors), *shares, f"{score.in_sum:+.1%}")
