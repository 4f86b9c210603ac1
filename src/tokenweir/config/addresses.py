"""Listening addresses as people write them: ``127.0.0.1:8080``, ``[::1]:8080``, ``localhost:8080``."""

import ipaddress

from ..errors import ConfigError, quoted

__all__ = ["is_loopback", "parse_address"]


def parse_address(text: str) -> tuple[str, int]:
    """Host and port; port 0 asks the system for a free one. Raises ConfigError for anything else."""
    host, separator, port = text.strip().rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        host = ""
    if not (separator and host and port.isascii() and port.isdecimal() and int(port) <= 65535):
        raise ConfigError(f"{quoted(text)} is not an address; write it like 127.0.0.1:8080 or [::1]:8080")
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address. A name counts as open, save ``localhost``."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
