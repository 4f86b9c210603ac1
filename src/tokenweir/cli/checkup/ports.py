"""Whether the gateway's two ports are free, or held by a Tokenweir that is running already."""

import errno
import os
import socket
from collections.abc import Iterator

from ...config import Config, parse_address
from ...errors import ConfigError
from .check_result import CheckResult, bad, fine
from .holders import holder_of

__all__ = ["check_ports"]


def check_ports(config: Config, *, gateway_runs: bool) -> Iterator[CheckResult]:
    """``gateway_runs``: a Tokenweir answers on the admin port."""
    for name, address in (("data", config.server.data), ("admin", config.server.admin)):
        try:
            problem = _cannot_listen(address)
        except ConfigError:
            continue  # no address at all: the configuration's problems say so
        if problem is None:
            yield fine(f"{name} port: {address} is free")
        elif problem == errno.EADDRINUSE and gateway_runs:
            yield fine(f"{name} port: {address} is held by the gateway that is running")
        elif problem == errno.EADDRINUSE:
            holder = holder_of(parse_address(address)[1])
            fix = f"stop it, or change [server] {name}"
            if holder is None:
                fix = f"`ss -ltnp`, as root, shows which; {fix}"
            yield bad(f"{name} port: {address} is held by {holder or 'another program'}", fix)
        else:
            fix = f"change [server] {name}, or give this user the right (ports below 1024 need one)"
            yield bad(f"{name} port: {address} cannot be listened on ({os.strerror(problem)})", fix)


def _cannot_listen(address: str) -> int | None:
    """The error number of trying to, or ``None``."""
    host, port = parse_address(address)
    try:
        family, _, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except OSError:
        return errno.EADDRNOTAVAIL
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(where)
            listener.listen(1)
        except OSError as error:
            return error.errno
    return None
