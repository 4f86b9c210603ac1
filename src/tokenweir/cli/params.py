"""Options that several commands share, and how a configuration is found for them."""

import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from ..config import Loaded

__all__ = ["ConfigOption", "Format", "FormatOption", "load_config", "moment"]

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        envvar="TOKENWEIR_CONFIG",
        metavar="FILE",
        show_default="tokenweir.toml, if there is one",
        help="The configuration file.",
    ),
]

Format = Literal["table", "json", "csv"]
FormatOption = Annotated[Format, typer.Option("--format", help="How to print the answer.")]


def load_config(file: Path | None, *, checked: bool = True) -> "Loaded":
    """The configuration as a start would take it. ``checked = False``: what only a running gateway needs may be
    missing."""
    from ..config import load

    return load(file, os.environ, checked=checked)


def moment(text: str | None) -> datetime | None:
    """What ``--since`` and ``--until`` mean, counted from now."""
    from ..ledger import parse_moment
    from ..records import SystemClock

    return parse_moment(text, SystemClock().now()) if text else None
