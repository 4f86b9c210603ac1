"""Blob storage on loopback: Azurite, Microsoft's own emulator, from npm."""

import base64
import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
import trustme
from azure.storage.blob import ContainerClient

from tokenweir.records import SystemClock

from .identity import serving_identity
from .node_packages import installed

__all__ = ["Azurite", "azurite_by_identity", "running_azurite", "storage_token"]

_ACCOUNT = "tests"
_KEY = base64.b64encode(b"the key of the tests").decode()


class Azurite:
    """One account, all in memory."""

    def __init__(self, url: str, ca_bundle: str | None) -> None:
        self.url = f"{url}/{_ACCOUNT}"
        self.ca_bundle = ca_bundle

    def connection_string(self, *, key: str = _KEY) -> str:
        protocol = self.url.partition(":")[0]
        account = f"AccountName={_ACCOUNT};AccountKey={key}"
        return f"DefaultEndpointsProtocol={protocol};{account};BlobEndpoint={self.url};"

    def make_container(self) -> str:
        """A new one, by name."""
        name = f"checkpoints-{uuid4().hex}"
        client = ContainerClient.from_connection_string(
            self.connection_string(), name, connection_verify=self.ca_bundle or True
        )
        with client:
            client.create_container()
        return name


@contextmanager
def running_azurite(tls_folder: Path | None = None) -> Iterator[Azurite]:
    """Azurite for the length of the block; given a folder for certificates it speaks TLS and takes Entra's tokens."""
    _, modules = installed("azurite", "azurite@3", "checkpoints in blob storage are not tried with Azurite")
    ca_bundle = None
    command: list[str | Path] = [
        modules / ".bin" / "azurite-blob",
        "--blobPort",
        "0",
        "--inMemoryPersistence",
        "--extentMemoryLimit",
        "64",
    ]
    command += ["--skipApiVersionCheck", "--disableTelemetry"]
    if tls_folder is not None:
        authority = trustme.CA()
        issued = authority.issue_cert("127.0.0.1")
        issued.cert_chain_pems[0].write_to_path(tls_folder / "cert.pem")
        issued.private_key_pem.write_to_path(tls_folder / "key.pem")
        authority.cert_pem.write_to_path(tls_folder / "ca.pem")
        ca_bundle = str(tls_folder / "ca.pem")
        command += ["--cert", tls_folder / "cert.pem", "--key", tls_folder / "key.pem", "--oauth", "basic"]
    process = subprocess.Popen(
        command,
        env={"PATH": os.environ["PATH"], "AZURITE_ACCOUNTS": f"{_ACCOUNT}:{_KEY}"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    try:
        said = ""
        while not (found := re.search(r"successfully listens on (\S+)", said)):
            line = process.stdout.readline()
            assert line, f"Azurite ended: {said}"
            said += line
        yield Azurite(found[1], ca_bundle)
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


@contextmanager
def azurite_by_identity(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, is_trusted: bool = False
) -> Iterator[Azurite]:
    """Azurite over TLS, and a machine whose identity it takes. ``is_trusted``: clients take its certificate by
    themselves; else they are given ``ca_bundle``."""
    with running_azurite(folder) as azurite, serving_identity(SystemClock(), monkeypatch) as identity:
        identity.token = storage_token()
        assert azurite.ca_bundle is not None
        if is_trusted:
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", azurite.ca_bundle)
        yield azurite


def storage_token() -> str:
    """What Azurite looks at in a token of Entra: for whom it is, who issued it, and how long it is good."""
    now = int(SystemClock().now().timestamp())
    issuer = "https://sts.windows.net/00000000-0000-0000-0000-000000000000/"
    claims = {"aud": "https://storage.azure.com", "iss": issuer, "iat": now, "nbf": now - 60, "exp": now + 3600}
    parts = [{"alg": "HS256", "typ": "JWT"}, claims]
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return ".".join([*encoded, "c2lnbmF0dXJl"])
