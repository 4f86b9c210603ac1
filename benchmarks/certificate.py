"""A certificate authority for one run, and the upstream's certificate signed by it."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Certificate", "make_certificate"]

_EXTENSIONS = "subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n"
# Quick to sign with, so that the upstream's handshakes are not what is measured.
_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
_DAYS = ("-days", "2")


@dataclass(frozen=True)
class Certificate:
    """Paths of PEM files."""

    authority: Path
    chain: Path
    key: Path


def make_certificate(directory: Path) -> Certificate:
    """Make both with openssl. They are good for two days."""
    authority, authority_key = directory / "authority.pem", directory / "authority.key"
    chain, key = directory / "upstream.pem", directory / "upstream.key"
    request, extensions = directory / "upstream.csr", directory / "extensions"
    extensions.write_text(_EXTENSIONS)
    _openssl("req", "-x509", *_KEY, *_DAYS, "-subj", "/CN=benchmark", "-keyout", authority_key, "-out", authority)
    _openssl("req", "-new", *_KEY, "-subj", "/CN=localhost", "-keyout", key, "-out", request)
    signer = ("-CA", authority, "-CAkey", authority_key, "-CAcreateserial")
    _openssl("x509", "-req", *_DAYS, *signer, "-extfile", extensions, "-in", request, "-out", chain)
    return Certificate(authority, chain, key)


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
