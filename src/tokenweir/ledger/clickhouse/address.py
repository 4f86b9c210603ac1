"""A ClickHouse address: where the server is, who asks, and whether the way there is encrypted.

``clickhouse://user@host:8443/database`` is HTTPS, with the server's certificate checked. Plain HTTP has to be asked
for by name, ``clickhouse+http://``, and is for a server on this machine or on a network of one's own.
"""

from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from ...errors import ConfigError
from ..parsing import unknown_name

__all__ = ["ClickHouseAddress", "understood"]

_PORTS = {"clickhouse": 8443, "clickhouse+http": 8123}
_PASSWORD = "CLICKHOUSE_PASSWORD"
_EXAMPLE = "clickhouse://user@host:8443/database, with ?ca_cert=file.pem for a certificate authority of your own"


class ClickHouseAddress(msgspec.Struct, frozen=True):
    """A server and a database on it. It holds a password: never show it, show its ``place``."""

    scheme: str
    host: str
    port: int
    user: str
    password: str
    database: str
    ca_cert: str | None = None
    """The file of a certificate authority; without one, those that everybody trusts."""

    @property
    def is_secure(self) -> bool:
        return self.scheme == "clickhouse"

    @property
    def place(self) -> str:
        """As it may be shown."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}/{self.database}"

    def __repr__(self) -> str:
        return f"<ClickHouseAddress {self.place}>"


def understood(url: str, environ: Mapping[str, str]) -> ClickHouseAddress:
    """What a URL says, and the environment where it gives no password. `ConfigError`, which does not repeat it."""
    try:
        parts = urlsplit(url)
        port = parts.port
        options = dict(parse_qsl(parts.query, strict_parsing=True)) if parts.query else {}
    except ValueError:
        raise _misunderstood() from None
    database = unquote(parts.path.removeprefix("/"))
    if parts.scheme not in _PORTS or not parts.hostname or "/" in database or parts.fragment:
        raise _misunderstood()
    if unknown := options.keys() - {"ca_cert"}:
        raise ConfigError(f"ledger.url: {unknown_name('the option', min(unknown), ['ca_cert'])}")
    if "ca_cert" in options and parts.scheme != "clickhouse":
        raise ConfigError("ledger.url: ca_cert is for clickhouse://, which is encrypted; this is plain HTTP")
    return ClickHouseAddress(
        scheme=parts.scheme,
        host=parts.hostname,
        port=port or _PORTS[parts.scheme],
        user=unquote(parts.username or "default"),
        password=unquote(parts.password) if parts.password is not None else environ.get(_PASSWORD, ""),
        database=database or "default",
        ca_cert=options.get("ca_cert"),
    )


def _misunderstood() -> ConfigError:
    return ConfigError(f"ledger.url is no ClickHouse address; write it like {_EXAMPLE}")
