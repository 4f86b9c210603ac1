"""What a check hands back, and small checks of files and amounts that tables share."""

import ssl
from collections.abc import Iterator

import msgspec

from .coercion import fields
from .setting_path import Path

__all__ = ["Problems", "no_certificates", "no_key_pair", "too_small", "unreadable"]

Problems = Iterator[tuple[Path, str]]
"""Where something is wrong; what it is, and the fix."""


def unreadable(path: Path, file: str | None) -> Problems:
    """A file that is named must be there and open to us."""
    if file is None:
        return
    try:
        with open(file, "rb") as opened:
            opened.read(1)
    except OSError as error:
        yield path, f"{file} cannot be read: {error.strerror}"


def no_certificates(path: Path, bundle: str | None) -> Problems:
    """A bundle must be a PEM file of certificates."""
    found = [*unreadable(path, bundle)]
    yield from found
    if bundle is None or found:
        return
    try:
        ssl.create_default_context(cafile=bundle)
    except (OSError, ssl.SSLError):
        yield path, f"{bundle} is not a PEM file of certificates"


def no_key_pair(path: Path, certificate: str, private_key: str) -> Problems:
    """A certificate and its key, each a PEM file, that belong together."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, private_key)
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "reason", None) or error
        yield path, f"{certificate} and {private_key} are not a certificate and its key, in PEM ({reason})"


def too_small(path: Path, settings: msgspec.Struct, *names: str) -> Problems:
    """Nothing works with none of these."""
    known = fields(type(settings))
    for name in names:
        if getattr(settings, name) <= 0:
            yield (*path, name), "must be at least 1" if known[name].type is int else "must be more than zero"
