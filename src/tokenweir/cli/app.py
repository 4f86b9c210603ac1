"""How every command ends: an error of ours as one clear line and exit code 2, Ctrl-C as 130."""

import sys
from typing import Any

import typer
from typer.core import TyperGroup

from ..errors import TokenweirError

__all__ = ["new_app", "new_group"]

_SETTINGS: dict[str, Any] = {
    "no_args_is_help": True,
    "add_completion": False,
    "pretty_exceptions_enable": False,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}


class _Commands(TyperGroup):
    """The commands in the order of the file that lists them."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except TokenweirError as error:
            print(f"tokenweir: {error}", file=sys.stderr)
            raise typer.Exit(2) from error
        except KeyboardInterrupt as error:
            raise typer.Exit(130) from error


def new_app(about: str) -> typer.Typer:
    """The whole command line."""
    return typer.Typer(name="tokenweir", help=about, cls=_Commands, **_SETTINGS)


def new_group(about: str) -> typer.Typer:
    """Commands that share a word, like ``tokenweir keys``."""
    return typer.Typer(help=about, **_SETTINGS)
