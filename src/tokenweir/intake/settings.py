"""What `tokenweir consume` is told: where messages come from, and where those go that cannot be read.

Secrets are never in the file: a setting names the environment variable that holds one.
"""

from typing import Literal

import msgspec

from ..records import Duration

__all__ = ["IntakeSettings"]


class IntakeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ``[intake]`` table."""

    kind: Literal["kafka", "event_hubs"] = "event_hubs"
    """Which wire the messages come by; Event Hubs also speaks `kafka`."""
    group: str = "tokenweir"
    """The consumer group. Consumers of one group share the partitions."""
    dead_letters: str = "tokenweir-data/dead-letters/intake.jsonl"
    """Where messages are kept that cannot be read, one JSON line each. They may hold prompts."""

    connection_string_env: str | None = None
    """The environment variable that holds an Event Hubs connection string, for either kind."""
    hub: str | None = None
    """The hub's name, where the connection string has no ``EntityPath``."""
    ca_bundle: str | None = None
    """A PEM file to trust instead of the system's."""

    servers: str | None = None
    """`kafka`: ``broker-1:9092,broker-2:9092``."""
    topic: str | None = None
    """`kafka`: the topic."""
    username: str | None = None
    """`kafka`: for SASL PLAIN, with ``password_env``."""
    password_env: str | None = None
    """`kafka`: the environment variable that holds the password."""
    tls: bool = True
    """`kafka`: whether to speak TLS."""
    session_timeout: Duration = Duration(10)
    """`kafka`: how long a consumer may be silent before the group gives its partitions to the others."""
