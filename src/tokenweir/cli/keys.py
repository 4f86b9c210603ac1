"""``tokenweir keys``: makes, lists, rotates, suspends, resumes and revokes the keys that callers use.

Where a gateway runs that reads the same keys, it makes the change itself, and what is printed is what its relays say.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ConfigError
from .app import new_group
from .params import ConfigOption, FormatOption, load_config

if TYPE_CHECKING:
    from ..config import Config
    from ..policy import KeyStore, StoredKey
    from ..records import Clock
    from .admin_client import AdminClient

__all__ = ["keys"]

keys = new_group("Make, list, rotate, suspend and revoke the keys that callers use.")

_KeyId = Annotated[str, typer.Argument(metavar="KEY_ID", help="As `tokenweir keys list` shows it.")]
_Expires = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="From when on it is refused: 90d or 12h from now, or a day or moment (UTC)."),
]


@keys.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who will use it; records and reports show this name.")],
    tag: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Written into each of its records; repeatable."),
    ] = None,
    group: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A group that it is in, instead of its caller's; repeatable."),
    ] = None,
    expires: _Expires = None,
    file: ConfigOption = None,
) -> None:
    """Make a key. It is shown once; only its hash is kept. Exit code 1 where a running gateway does not take it."""
    from ..policy import add_key, moment_of_expiry, read_keys, require_groups
    from ..records import SystemClock

    place, tags, groups = _Place(file), _tags(tag or []), group or []
    relays = None
    if place.gateway is not None:
        wanted = {"caller": name, "tags": tags, "groups": groups, "expires": expires}
        known, answer = place.gateway.get("/api/keys")["keys"], place.gateway.post("/api/keys", wanted)
        key, relays, stored = answer["key"], answer["relays"], _stored(answer["stored"])
    else:
        known, clock = read_keys(place.store), SystemClock()
        require_groups(groups, [one.name for one in place.config.groups])
        expires_at = moment_of_expiry(expires, clock) if expires else None
        key, stored = add_key(place.store, name, tags, clock, groups=groups, expires_at=expires_at)
    _show(place, key, stored)
    if not (place.config.callers or place.config.entra.tenants or known):
        typer.echo("It is the first key: from now on a call without a known key is refused.", err=True)
    place.say_what_was_seen(relays, "It is in force in {}.", "It is NOT in force in {}")


@keys.command("list")
def list_keys(file: ConfigOption = None, format: FormatOption = "table") -> None:
    """List all keys, revoked ones too. The keys themselves are kept nowhere."""
    from ..policy import read_keys
    from ..records import SystemClock
    from .hints import say_if_empty
    from .output import print_rows

    place, now = _Place(file), SystemClock().now()
    stored = read_keys(place.store)
    columns = ["key_id", "caller", "created_at", "expires_at", "suspended_at", "revoked_at", "groups", "tags"]
    rows = [[key.key_id, key.state_at(now), *(getattr(key, column) for column in columns[1:])] for key in stored]
    print_rows([columns[0], "state", *columns[1:]], rows, format)
    say_if_empty(stored, format, f"there are no keys in {place.shown} yet; `tokenweir keys create NAME` makes one")
    if place.gateway is not None:
        seen = place.gateway.get("/api/keys")["relays"]
        place.say_what_was_seen(seen, "This is in force in {}.", "This is NOT in force in {}")


@keys.command()
def rotate(
    key_id: _KeyId,
    overlap: Annotated[str, typer.Option(metavar="DURATION", help="How long the old key stays valid beside it.")] = (
        "24h"
    ),
    expires: _Expires = None,
    file: ConfigOption = None,
) -> None:
    """Make a key in the place of another, for the same caller, with its tags and groups. Both are valid for a while."""
    from ..policy import UnknownKey, moment_of_expiry, rotate_key
    from ..records import Duration, SystemClock

    try:
        seconds = Duration.parse(overlap)
    except ValueError as error:
        raise ConfigError(f"--overlap: {error}") from error
    place = _Place(file)
    relays = None
    if place.gateway is not None:
        answer = place.gateway.post(f"/api/keys/{key_id}/rotate", {"overlap": overlap, "expires": expires})
        if answer is None:
            raise UnknownKey(f"there is no key {key_id} in {place.shown}; `tokenweir keys list` shows them")
        key, relays, stored, old = (
            *(answer["key"], answer["relays"]),
            *(_stored(answer["stored"]), _stored(answer["replaced"])),
        )
    else:
        clock = SystemClock()
        expires_at = moment_of_expiry(expires, clock) if expires else None
        key, stored, old = rotate_key(place.store, key_id, seconds, clock, expires_at=expires_at)
    _show(place, key, stored)
    typer.echo(f"{old.key_id} is valid beside it until {old.expires_at:%Y-%m-%d %H:%M:%S} UTC.", err=True)
    place.say_what_was_seen(relays, "Both are so in {}.", "This is NOT in force in {}")


@keys.command()
def suspend(key_id: _KeyId, file: ConfigOption = None) -> None:
    """Refuse a key until it is resumed. Exit code 1 where a running gateway does not do so yet."""
    from ..policy import suspend_key

    place = _Place(file)
    stored, relays = place.change("suspend", key_id, suspend_key)
    print(f"{stored.key_id} of {stored.caller} is suspended since {stored.suspended_at:%Y-%m-%d %H:%M:%S} UTC.")
    place.say_what_was_seen(relays, "It is refused by {}.", "It is NOT refused yet by {}")


@keys.command()
def resume(key_id: _KeyId, file: ConfigOption = None) -> None:
    """Take a suspension back. Exit code 1 where a running gateway does not accept the key yet."""
    from ..policy import resume_key

    place = _Place(file)
    stored, relays = place.change("resume", key_id, resume_key)
    print(f"{stored.key_id} of {stored.caller} is not suspended.")
    place.say_what_was_seen(relays, "That is in force in {}.", "That is NOT in force in {}")


@keys.command()
def revoke(key_id: _KeyId, file: ConfigOption = None) -> None:
    """Revoke a key for good: calls with it are refused. Exit code 1 where a running gateway does not do so yet."""
    from ..policy import revoke_key

    place = _Place(file)
    stored, relays = place.change("revoke", key_id, revoke_key)
    print(f"{stored.key_id} of {stored.caller} is revoked since {stored.revoked_at:%Y-%m-%d %H:%M:%S} UTC.")
    place.say_what_was_seen(relays, "It is refused by {}.", "It is NOT refused yet by {}")


class _Place:
    """Where the keys of a configuration are, and the gateway that runs with them, if one does."""

    def __init__(self, file: Path | None) -> None:
        from ..serve.shared_keys import open_key_store

        self.config: Config = load_config(file, checked=False).config
        self.store: KeyStore = open_key_store(self.config)
        self.gateway: AdminClient | None = _gateway_of(self.config, self.store)
        shared = self.config.server.shared_keys
        self.shown = self.config.server.keys if shared is None else shared.rpartition("@")[2].partition("?")[0]
        """For a person; without the password that an address may hold."""

    def change(
        self, verb: str, key_id: str, change: "Callable[[KeyStore, str, Clock], StoredKey]"
    ) -> "tuple[StoredKey, list[dict[str, Any]] | None]":
        """The key afterwards, and what the relays of a running gateway say."""
        from ..policy import UnknownKey
        from ..records import SystemClock

        if self.gateway is None:
            return change(self.store, key_id, SystemClock()), None
        answer = self.gateway.post(f"/api/keys/{key_id}/{verb}", {})
        if answer is None:
            raise UnknownKey(f"there is no key {key_id} in {self.shown}; `tokenweir keys list` shows them")
        return _stored(answer["stored"]), answer["relays"]

    def say_what_was_seen(self, relays: Sequence[dict[str, Any]] | None, everywhere: str, missing: str) -> None:
        """What the relays of a running gateway say of the keys, on standard error."""
        if relays is None:
            typer.echo(
                f"No gateway with these keys answers on {self.config.server.admin}; one that reads them, here or on "
                "another machine, takes a change within seconds.",
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


def _show(place: _Place, key: str, stored: "StoredKey") -> None:
    print(key)
    until = f" It expires at {stored.expires_at:%Y-%m-%d %H:%M:%S} UTC." if stored.expires_at else ""
    typer.echo(
        f"This is the only time the key is shown; {place.shown} keeps its hash. "
        f"Its id is {stored.key_id}, and its caller is {stored.caller}.{until}",
        err=True,
    )


def _stored(told: dict[str, Any]) -> "StoredKey":
    """As the admin port tells it, which is without the hash."""
    import msgspec

    from ..policy import StoredKey

    return msgspec.convert({"sha256": "0" * 64, **told}, StoredKey)


def _gateway_of(config: "Config", store: "KeyStore") -> "AdminClient | None":
    """The running gateway that has its keys in the same place, if one answers."""
    from .admin_client import AdminClient, NoAnswer

    client = AdminClient(config)
    try:
        answer = client.get("/api/keys")
    except NoAnswer:
        return None
    return client if answer is not None and answer.get("file") == store.where else None


def _tags(pairs: list[str]) -> dict[str, str]:
    split = [pair.partition("=") for pair in pairs]
    for name, separator, _ in split:
        if not name or not separator:
            raise ConfigError(f"--tag {name}: write it like cost_centre=4711")
    return {name: value for name, _, value in split}
