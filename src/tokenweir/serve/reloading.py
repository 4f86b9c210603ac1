"""What a reload takes over at once, and what waits for the next start."""

import os

import msgspec

from ..config import Config, ConfigSource
from ..policy import digest_of

__all__ = ["Reload", "digest_of_config", "reloaded", "with_debug_secret"]

# What processes keep as long as they run: their sockets, their journal, and what was made with their settings.
_ONLY_AT_START = ("server", "journal", "ledger", "tracing")
_AT_ONCE = ("archive", "archive_for")
"""But for these, of the journal: the books ask for them each time."""


class Reload(msgspec.Struct, frozen=True):
    """A configuration that was read again."""

    config: Config
    """What is in force from now on."""
    waiting: list[str]
    """The settings that were changed and take effect with the next start only, like ``server.data``."""


def reloaded(source: ConfigSource, running: Config) -> Reload:
    """The configuration of its source and the environment, as far as a process that runs with ``running`` can take it.

    Raises ConfigError.
    """
    config = with_debug_secret(source.load(os.environ).config, running.tracing.secret)
    archive = {name: getattr(config.journal, name) for name in _AT_ONCE}
    running = msgspec.structs.replace(running, journal=msgspec.structs.replace(running.journal, **archive))
    waiting = [
        f"{table}.{name}"
        for table in _ONLY_AT_START
        for name in getattr(config, table).__struct_fields__
        if getattr(getattr(config, table), name) != getattr(getattr(running, table), name)
    ]
    kept = {table: getattr(running, table) for table in _ONLY_AT_START}
    return Reload(msgspec.structs.replace(config, **kept), waiting)


def with_debug_secret(config: Config, secret: str | None) -> Config:
    """The configuration with ``secret`` where it names none to sign debug tokens with: what the books issue, the
    relays must know."""
    if config.tracing.secret is not None:
        return config
    return msgspec.structs.replace(config, tracing=msgspec.structs.replace(config.tracing, secret=secret))


def digest_of_config(config: Config) -> int:
    """Tells whether two processes of a gateway run with the same configuration."""
    return digest_of(msgspec.json.encode(config, enc_hook=str))
