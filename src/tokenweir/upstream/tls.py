"""TLS towards an upstream: whom to trust, and a handshake on a connection that stands."""

import asyncio
import ssl
from typing import cast

from ..errors import ConfigError, quoted
from .connection import UpstreamConnection
from .settings import UpstreamSettings

__all__ = ["keep_large_blocks", "start_tls", "tls_context"]

# More than the 256 KB that uvloop reads at once through TLS.
_LARGE_BLOCK = 1024 * 1024


async def start_tls(
    transport: asyncio.Transport, connection: UpstreamConnection, context: ssl.SSLContext, host: str
) -> bool:
    """Puts TLS on ``transport`` and ``connection`` on TLS. Returns whether the other side stayed; raises ``OSError``,
    of which ``ssl.SSLError`` is one. Where it does not come to a connection, the transport is closed."""
    connection.below = transport
    try:
        protocol = cast(asyncio.Protocol, connection)
        secured = await asyncio.get_running_loop().start_tls(transport, protocol, context, server_hostname=host)
    except BaseException:
        transport.abort()
        raise
    if secured is None:
        return False
    if connection.is_closed:
        connection.connection_made(secured)
    return True


def tls_context(settings: UpstreamSettings) -> ssl.SSLContext:
    """Raises ``ConfigError`` where the authorities to trust cannot be read."""
    try:
        context = ssl.create_default_context(cafile=settings.ca_bundle)
    except OSError as error:
        raise ConfigError(
            f"upstream {quoted(settings.name)}: ca_bundle {quoted(settings.ca_bundle)} cannot be used ({error}); "
            "it must be a PEM file of certificates"
        ) from error
    context.set_alpn_protocols(["http/1.1"])
    keep_large_blocks()
    return context


def keep_large_blocks() -> None:
    """Each read through TLS gets a new block of 256 KB, of which an event takes 300 bytes. Until a block of that size
    has been freed once, glibc asks the kernel for each, and gives it back: several system calls and page faults, which
    are half of what an event costs."""
    bytearray(_LARGE_BLOCK)
