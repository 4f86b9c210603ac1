"""How every command ends: an error of ours as one clear line and exit code 2, Ctrl-C as 130."""

import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ..errors import TokenweirError

__all__ = ["new_app", "new_group"]

_SETTINGS: dict[str, Any] = {
    "no_args_is_help": True,
    "add_completion": False,
    "pretty_exceptions_enable": False,
    # As markup, [[sinks]] in a help text would be read as a style, and vanish.
    "rich_markup_mode": None,
    "context_settings": {"help_option_names": ["-h", "--help"], "max_content_width": 100},
}


class _Group(TyperGroup):
    """Lists its commands in the order of the file that names them, each with the whole of its first sentences."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, _first_paragraph(command.help)) for name, command in commands if command is not None]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


class _Commands(_Group):
    """All of them; what ends a command is seen here."""

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
    app = typer.Typer(name="tokenweir", help=about, cls=_Commands, **_SETTINGS)

    @app.callback()
    def options(
        version: Annotated[
            bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
        ] = False,
    ) -> None: ...

    return app


def _print_version(is_asked: bool) -> None:
    if is_asked:
        from .version import version

        version()
        raise typer.Exit


def new_group(about: str) -> typer.Typer:
    """Commands that share a word, like ``tokenweir keys``."""
    return typer.Typer(help=about, cls=_Group, **_SETTINGS)


def _first_paragraph(text: str | None) -> str:
    return " ".join((text or "").partition("\n\n")[0].split())
