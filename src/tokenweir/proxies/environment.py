"""The proxy that the environment names for a TLS host, as curl, Go and Python's clients read it.

    https_proxy, HTTPS_PROXY, all_proxy, ALL_PROXY     the first that is there; an empty one means none
    no_proxy, NO_PROXY                                 who is reached directly, apart by commas or spaces

An entry of NO_PROXY is ``*`` for all hosts, a name (with its subdomains; ``.name`` and ``*.name`` say the same), an
address, or a network such as ``10.0.0.0/8``. ``:port`` behind a name or an address limits it to that port; an address
of IPv6 is then in brackets.
"""

import os
import re
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from urllib.request import getproxies, proxy_bypass

__all__ = ["is_excepted", "proxy_url"]

_SEPARATORS = re.compile(r"[,\s]+")
_WITH_PORT = re.compile(r"(?:\[(?P<address>[^\]]*)\]|(?P<name>[^:]*))(?::(?P<port>\d+))?")


def proxy_url(host: str, port: int, environ: Mapping[str, str] | None = None) -> str | None:
    """The URL of the proxy on the way to ``https://host:port``, as it is written. None where there is none.

    Where no variable names a proxy, macOS and Windows are asked for theirs.
    """
    variables = os.environ if environ is None else environ
    named = _first(variables, "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
    excepted = _first(variables, "no_proxy", "NO_PROXY") or ""
    if is_excepted(host, port, excepted):
        return None
    if named is None and environ is None:
        named = getproxies().get("https")
        return named if named and not proxy_bypass(host) else None
    return named or None


def is_excepted(host: str, port: int, no_proxy: str) -> bool:
    """Whether an entry of ``no_proxy`` is about ``host``, an address or a name, at ``port``."""
    host = host.strip("[]").rstrip(".").lower()
    return any(_is_about(entry, host, port) for entry in _SEPARATORS.split(no_proxy.lower()) if entry)


def _is_about(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    if "/" in entry:
        return _holds(entry, host)
    if _is_address(entry):  # one of IPv6 has colons without a port
        return _is_same(entry, host)
    parts = _WITH_PORT.fullmatch(entry)
    if parts is None or (parts["port"] is not None and int(parts["port"]) != port):
        return False
    name = (parts["address"] or parts["name"] or "").removeprefix("*").strip(".")
    return bool(name) and (_is_same(name, host) or (not _is_address(host) and host.endswith(f".{name}")))


def _holds(network: str, host: str) -> bool:
    try:
        return ip_address(host) in ip_network(network, strict=False)
    except ValueError:
        return False


def _is_same(entry: str, host: str) -> bool:
    if entry == host:
        return True
    return _is_address(entry) and _is_address(host) and ip_address(entry) == ip_address(host)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _first(environ: Mapping[str, str], *names: str) -> str | None:
    return next((environ[name].strip() for name in names if name in environ), None)
