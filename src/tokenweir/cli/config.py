"""``tokenweir config``: what was read from where, what is in force, and a file to start with."""

import os
import sys
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import typer

from .app import new_group
from .params import ConfigOption, load_config

if TYPE_CHECKING:
    from ..config import Loaded
    from ..config.dump import Line

__all__ = ["config"]

config = new_group("Look at the configuration.")


@config.command()
def check(file: ConfigOption = None) -> None:
    """Say what was read from where, and what is wrong. Exit code 2 if anything is."""
    from ..config import examine
    from ..config.dump import write

    loaded = examine(file, os.environ)
    print("\n".join(_with_origins(list(write(loaded, defaults=False)))) or "Nothing is configured.")
    for note in loaded.notes:
        print(f"\nnote: {note}")
    for problem in loaded.problems:
        print(f"\nproblem: {problem}", file=sys.stderr)
    if loaded.problems:
        raise typer.Exit(2)
    print("\nThe configuration is good.")


@config.command()
def show(file: ConfigOption = None) -> None:
    """Print every setting as TOML; secrets are masked. Where the gateway runs, say what it runs with instead.

    Exit code 1 where they differ.
    """
    from ..config.dump import write

    loaded = load_config(file, checked=False)
    lines = list(write(loaded, defaults=True))
    in_force = _in_force(loaded)
    if in_force is None:
        print("\n".join(_with_origins(lines)))
        typer.echo(
            f"No gateway with this configuration answers on {loaded.config.server.admin}, so this is what a start would"
            " take.",
            err=True,
        )
        return
    running, behind = in_force
    theirs, ours = _keyed(running), _keyed([line.text for line in lines])
    differ = [(key, text) for key, text in theirs.items() if ours.get(key) != text]
    missing = dict.fromkeys(heading for heading, name in ours if (heading, name) not in theirs)
    differ += [((heading, ""), "not as it stands here") for heading in missing]
    print("\n".join(_with_origins(lines)))
    if not differ and not behind:
        typer.echo("All of it is in force.", err=True)
        return
    for (heading, _), text in differ:
        typer.echo(f"NOT in force: the running gateway has {heading} {text}", err=True)
    for relay in behind:
        typer.echo(f"NOT in force in {relay['relay']}: {relay['reason']}", err=True)
    typer.echo("SIGHUP reloads; [server], [journal], [ledger] and [tracing] take effect with a start.", err=True)
    raise typer.Exit(1)


@config.command()
def example() -> None:
    """Print a commented file to start with: tokenweir config example > tokenweir.toml"""
    from importlib.resources import files

    print(files("tokenweir.config").joinpath("example.toml").read_text("utf-8"), end="")


def _in_force(loaded: "Loaded") -> "tuple[list[str], list[dict[str, Any]]] | None":
    """The lines that the running gateway of this configuration has, and its relays that have others."""
    from ..errors import TokenweirError
    from .admin_client import AdminClient

    try:
        answer = AdminClient(loaded.config).get("/api/config")
    except TokenweirError:
        return None
    source = str(loaded.source.resolve()) if loaded.source is not None else None
    if answer is None or answer.get("source") != source:
        return None
    return answer["lines"], [relay for relay in answer["relays"] if not relay["in_force"]]


def _keyed(lines: "list[str]") -> "dict[tuple[str, str], str]":
    """Each setting's line by its table and its name; tables of a list are numbered."""
    keyed: dict[tuple[str, str], str] = {}
    seen: Counter[str] = Counter()
    heading = ""
    for text in lines:
        if text.startswith("["):
            seen[text] += 1
            heading = f"{text} {seen[text]}" if text.startswith("[[") else text
        elif (heading, text.partition(" = ")[0]) != ("[tracing]", "secret"):  # drawn at each start, where none is set
            keyed[heading, text.partition(" = ")[0]] = text
    return keyed


def _with_origins(lines: "list[Line]") -> Iterator[str]:
    """Each line with a comment that says where it came from, in one column."""
    width = min(max((len(line.text) for line in lines if line.origin), default=0), 60)
    for number, line in enumerate(lines):
        if line.text.startswith("[") and number:
            yield ""
        yield f"{line.text:{width}}  # {line.origin}" if line.origin else line.text
