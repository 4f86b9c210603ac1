"""How processes begin: where they listen, and how they tell their supervisor that they cannot do their work."""

import errno
import logging
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ..config import parse_address
from ..errors import ConfigError, TokenweirError, quoted

__all__ = ["CANNOT_START", "listen", "listen_together", "one_line_for_errors"]

_TAKEN = "Another Tokenweir may be running; `tokenweir doctor` shows what holds the port."

_log = logging.getLogger(__name__)

CANNOT_START = 78
"""The exit code that means it, of sysexits.h (EX_CONFIG)."""


@contextmanager
def one_line_for_errors() -> Iterator[None]:
    """Ends the process with ``CANNOT_START`` and a line in the log where an error of ours leaves the block."""
    try:
        yield
    except TokenweirError as error:
        _log.error("%s", error)
        sys.exit(CANNOT_START)


def listen(address: str, setting: str) -> socket.socket:
    """A listening socket. Raises ConfigError where the port is taken or the address is not ours."""
    host, port = parse_address(address)
    try:
        return _listening(host, port)
    except OSError as error:
        raise ConfigError(
            f"{setting} = {quoted(address)}: cannot listen there: {error.strerror}. "
            + (_TAKEN if error.errno == errno.EADDRINUSE else "Give an address of this machine, like 127.0.0.1:8080.")
        ) from error


def listen_together(address: str, setting: str, count: int) -> list[socket.socket]:
    """``count`` listening sockets at one address, among which Linux divides new connections evenly (SO_REUSEPORT). Of
    processes that accept from one socket, whichever is awake takes them. Raises what `listen` does."""
    alone = listen(address, setting)  # is not to be had where somebody else listens, who might share
    if count == 1 or sys.platform != "linux":
        return [alone] * count
    host, port = alone.getsockname()[:2]
    alone.close()
    return [_listening(host, port, shared=True) for _ in range(count)]


def _listening(host: str, port: int, *, shared: bool = False) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, port))
        listener.listen(4096)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener
