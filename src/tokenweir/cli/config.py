"""``tokenweir config``: what was read from where, what is in force, and a file to start with."""

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from .app import new_group
from .params import ConfigOption, load_config

if TYPE_CHECKING:
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
    """Print every setting in force as TOML; secrets are masked."""
    from ..config.dump import write

    print("\n".join(_with_origins(list(write(load_config(file, checked=False), defaults=True)))))


@config.command()
def example() -> None:
    """Print a commented file to start with: tokenweir config example > tokenweir.toml"""
    from importlib.resources import files

    print(files("tokenweir.config").joinpath("example.toml").read_text("utf-8"), end="")


def _with_origins(lines: "list[Line]") -> Iterator[str]:
    """Each line with a comment that says where it came from, in one column."""
    width = min(max((len(line.text) for line in lines if line.origin), default=0), 60)
    for number, line in enumerate(lines):
        if line.text.startswith("[") and number:
            yield ""
        yield f"{line.text:{width}}  # {line.origin}" if line.origin else line.text
