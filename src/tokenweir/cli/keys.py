"""``tokenweir keys``: makes, lists and revokes the keys that callers use."""

from pathlib import Path
from typing import Annotated

import typer

from ..errors import ConfigError, quoted
from .app import new_group
from .params import ConfigOption, FormatOption, load_config

__all__ = ["keys"]

keys = new_group("Make, list and revoke the keys that callers use.")

_NAME_LIMIT = 128


@keys.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who will use it; records and reports show this name.")],
    tag: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Written into each of its records; repeatable."),
    ] = None,
    file: ConfigOption = None,
) -> None:
    """Make a key. It is shown once; only its hash is kept."""
    from ..policy.keys_file import add_key, read_keys
    from ..records import SystemClock

    if not name.isprintable() or name != name.strip() or not 0 < len(name) <= _NAME_LIMIT:
        raise ConfigError(
            f"{quoted(name)} cannot be a caller's name: up to {_NAME_LIMIT} printable characters, no space around"
        )
    settings = load_config(file, checked=False).config
    path = Path(settings.server.keys)
    was_open = not settings.callers and not read_keys(path)
    key, stored = add_key(path, name, _tags(tag or []), SystemClock())
    print(key)
    typer.echo(
        f"This is the only time the key is shown; {path} keeps its hash. "
        f"Its id is {stored.key_id}, and its caller is {name}. "
        "A gateway that reads this file knows it within a second.",
        err=True,
    )
    if was_open:
        typer.echo("It is the first key: from now on a call without a known key is refused.", err=True)


@keys.command("list")
def list_keys(file: ConfigOption = None, format: FormatOption = "table") -> None:
    """List all keys, revoked ones too. The keys themselves are kept nowhere."""
    from ..policy.keys_file import read_keys
    from .hints import say_if_empty
    from .output import print_rows

    path = Path(load_config(file, checked=False).config.server.keys)
    stored = read_keys(path)
    columns = ["key_id", "caller", "created_at", "revoked_at", "tags"]
    print_rows(columns, [[getattr(key, column) for column in columns] for key in stored], format)
    say_if_empty(stored, format, f"there are no keys in {path} yet; `tokenweir keys create NAME` makes one")


@keys.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="KEY_ID", help="As `tokenweir keys list` shows it.")],
    file: ConfigOption = None,
) -> None:
    """Revoke a key: calls with it are refused from now on."""
    from ..policy.keys_file import revoke_key
    from ..records import SystemClock

    stored = revoke_key(Path(load_config(file, checked=False).config.server.keys), key_id, SystemClock())
    print(f"{stored.key_id} of {stored.caller} is revoked since {stored.revoked_at:%Y-%m-%d %H:%M:%S} UTC.")


def _tags(pairs: list[str]) -> dict[str, str]:
    split = [pair.partition("=") for pair in pairs]
    for name, separator, _ in split:
        if not name or not separator:
            raise ConfigError(f"--tag {name}: write it like cost_centre=4711")
    return {name: value for name, _, value in split}
