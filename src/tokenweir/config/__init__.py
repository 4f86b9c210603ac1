"""Reads files and environment, once, and composes every room's settings. The only reader of both."""

from .addresses import is_loopback, parse_address
from .certificates import expires_at
from .loading import ConfigSource, InvalidConfig, examine, load
from .model import Config, Loaded, ProfileSettings, is_consumers
from .pricing import pricer_of

__all__ = [
    "Config",
    "ConfigSource",
    "InvalidConfig",
    "Loaded",
    "ProfileSettings",
    "examine",
    "expires_at",
    "is_consumers",
    "is_loopback",
    "load",
    "parse_address",
    "pricer_of",
]
