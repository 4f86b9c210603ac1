"""``tokenweir keys``: makes, lists and revokes the keys that callers use.

Where a gateway runs that reads the same file, it makes the change itself, and what is printed is what its relays say.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ConfigError
from .app import new_group
from .params import ConfigOption, FormatOption, load_config

if TYPE_CHECKING:
    from ..config import Config
    from ..policy import KeyStore
    from .admin_client import AdminClient

__all__ = ["keys"]

keys = new_group("Make, list and revoke the keys that callers use.")


@keys.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who will use it; records and reports show this name.")],
    tag: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Written into each of its records; repeatable."),
    ] = None,
    file: ConfigOption = None,
) -> None:
    """Make a key. It is shown once; only its hash is kept. Exit code 1 where a running gateway does not take it."""
    import msgspec

    from ..policy.keys_file import StoredKey, add_key, read_keys
    from ..records import SystemClock
    from ..serve.shared_keys import open_key_store

    config, tags = load_config(file, checked=False).config, _tags(tag or [])
    store = open_key_store(config)
    gateway = _gateway_of(config, store)
    relays = None
    if gateway is not None:
        known, answer = gateway.get("/api/keys")["keys"], gateway.post("/api/keys", {"caller": name, "tags": tags})
        key, relays = answer["key"], answer["relays"]
        stored = msgspec.convert({"sha256": "0" * 64, **answer["stored"]}, StoredKey)
    else:
        known = read_keys(store)
        key, stored = add_key(store, name, tags, SystemClock())
    print(key)
    typer.echo(
        f"This is the only time the key is shown; {_shown(config)} keeps its hash. "
        f"Its id is {stored.key_id}, and its caller is {name}.",
        err=True,
    )
    if not config.callers and not known:
        typer.echo("It is the first key: from now on a call without a known key is refused.", err=True)
    _say_what_was_seen(config, relays, "It is in force in {}.", "It is NOT in force in {}")


@keys.command("list")
def list_keys(file: ConfigOption = None, format: FormatOption = "table") -> None:
    """List all keys, revoked ones too. The keys themselves are kept nowhere."""
    from ..policy.keys_file import read_keys
    from ..serve.shared_keys import open_key_store
    from .hints import say_if_empty
    from .output import print_rows

    config = load_config(file, checked=False).config
    store = open_key_store(config)
    stored = read_keys(store)
    columns = ["key_id", "caller", "created_at", "revoked_at", "tags"]
    print_rows(columns, [[getattr(key, column) for column in columns] for key in stored], format)
    say_if_empty(stored, format, f"there are no keys in {_shown(config)} yet; `tokenweir keys create NAME` makes one")
    gateway = _gateway_of(config, store)
    if gateway is not None:
        _say_what_was_seen(
            config, gateway.get("/api/keys")["relays"], "This is in force in {}.", "This is NOT in force in {}"
        )


@keys.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="KEY_ID", help="As `tokenweir keys list` shows it.")],
    file: ConfigOption = None,
) -> None:
    """Revoke a key: calls with it are refused from now on. Exit code 1 where a running gateway does not do so yet."""
    import msgspec

    from ..policy.keys_file import StoredKey, UnknownKey, revoke_key
    from ..records import SystemClock
    from ..serve.shared_keys import open_key_store

    config = load_config(file, checked=False).config
    store = open_key_store(config)
    gateway = _gateway_of(config, store)
    relays = None
    if gateway is not None:
        answer = gateway.post(f"/api/keys/{key_id}/revoke", {})
        if answer is None:
            raise UnknownKey(f"there is no key {key_id} in {_shown(config)}; `tokenweir keys list` shows them")
        relays = answer["relays"]
        stored = msgspec.convert({"sha256": "0" * 64, **answer["stored"]}, StoredKey)
    else:
        stored = revoke_key(store, key_id, SystemClock())
    print(f"{stored.key_id} of {stored.caller} is revoked since {stored.revoked_at:%Y-%m-%d %H:%M:%S} UTC.")
    _say_what_was_seen(config, relays, "It is refused by {}.", "It is NOT refused yet by {}")


def _shown(config: "Config") -> str:
    """Where the keys are, for a person; without the password that an address may hold."""
    shared = config.server.shared_keys
    return config.server.keys if shared is None else shared.rpartition("@")[2].partition("?")[0]


def _gateway_of(config: "Config", store: "KeyStore") -> "AdminClient | None":
    """The running gateway that has its keys in the same place, if one answers."""
    from .admin_client import AdminClient, NoAnswer

    client = AdminClient(config)
    try:
        answer = client.get("/api/keys")
    except NoAnswer:
        return None
    return client if answer is not None and answer.get("file") == store.where else None


def _say_what_was_seen(
    config: "Config", relays: Sequence[dict[str, Any]] | None, everywhere: str, missing: str
) -> None:
    """What the relays of a running gateway say of the keys file, on standard error."""
    if relays is None:
        typer.echo(
            f"No gateway with these keys answers on {config.server.admin}; one that reads them, here or on another "
            "machine, takes a change within seconds.",
            err=True,
        )
        return
    late = [relay for relay in relays if not relay["in_force"]]
    if not relays:
        typer.echo("The gateway has no relay that is well; `tokenweir doctor` says why.", err=True)
    elif not late:
        typer.echo(everywhere.format(", ".join(relay["relay"] for relay in relays)), err=True)
    for relay in late:
        typer.echo(f"{missing.format(relay['relay'])}: {relay['reason']}", err=True)
    if late or not relays:
        raise typer.Exit(1)


def _tags(pairs: list[str]) -> dict[str, str]:
    split = [pair.partition("=") for pair in pairs]
    for name, separator, _ in split:
        if not name or not separator:
            raise ConfigError(f"--tag {name}: write it like cost_centre=4711")
    return {name: value for name, _, value in split}
