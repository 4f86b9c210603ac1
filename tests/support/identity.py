"""What App Service and IMDS offer a machine: a token for the asking, served on loopback; and what Entra ID and a key
vault have for whoever shows a secret, over TLS.
"""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
import trustme

from tokenweir.records import Clock

__all__ = ["Authority", "IdentityEndpoint", "serving_authority", "serving_identity"]


@dataclass
class IdentityEndpoint:
    """How it answers, and what it was asked."""

    clock: Clock
    lifetime: int = 3600
    token: str | None = None
    """What it hands out; else ``token-1``, ``token-2``…"""
    is_ill: bool = False
    requests: list[tuple[str, dict[str, str], dict[str, list[str]]]] = field(default_factory=list)
    arrived: threading.Event = field(default_factory=threading.Event)
    may_answer: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    def answer(self, path: str, headers: dict[str, str]) -> tuple[int, dict[str, object]]:
        parts = urlsplit(path)
        if parts.path.startswith("/metadata") and "Metadata" not in headers:
            return 400, {"error": "the header Metadata is missing"}
        self.requests.append((parts.path, headers, parse_qs(parts.query)))
        self.arrived.set()
        self.may_answer.wait()
        if self.is_ill:
            return 400, {"error": "invalid_request", "error_description": "Identity not found"}
        expires_on = int(self.clock.now().timestamp()) + self.lifetime
        token = self.token or f"token-{len(self.requests)}"
        answer = {"access_token": token, "expires_on": str(expires_on), "resource": "r"}
        if parts.path.startswith("/metadata"):
            answer["expires_in"] = str(self.lifetime)
        return 200, {**answer, "token_type": "Bearer"}


@contextmanager
def serving_identity(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[IdentityEndpoint]:
    """An identity endpoint as App Service announces it: in the environment."""
    told = IdentityEndpoint(clock)
    told.may_answer.set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, answer = told.answer(self.path, dict(self.headers))
            body = msgspec.json.encode(answer)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.port = server.server_address[1]
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    serving.start()
    for name in ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_SECRET", "IMDS_ENDPOINT", "MSI_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{told.port}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "the-header")
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "ManagedIdentityCredential")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield told
    told.may_answer.set()
    server.shutdown()
    serving.join()
    server.server_close()


@dataclass
class Authority:
    """Signs in applications, and has one secret for whoever has a token."""

    clock: Clock
    url: str = ""
    secret: str = "key-1"
    is_ill: bool = False
    forms: list[dict[str, list[str]]] = field(default_factory=list)
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    """Path, query and authorization of each request for the secret that had a token."""

    def discovery(self) -> dict[str, object]:
        return {
            "issuer": f"{self.url}/tenant-1/v2.0",
            "authorization_endpoint": f"{self.url}/tenant-1/oauth2/v2.0/authorize",
            "token_endpoint": f"{self.url}/tenant-1/oauth2/v2.0/token",
        }


@contextmanager
def serving_authority(clock: Clock, monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[Authority]:
    told = Authority(clock)
    ca = trustme.CA()
    ca.cert_pem.write_to_path(folder / "authority.pem")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            if path.endswith("/.well-known/openid-configuration"):
                self._answer(200, told.discovery())
            elif told.is_ill:
                self._answer(403, {"error": {"code": "Forbidden"}})
            else:
                told.asked.append((path, query, self.headers["Authorization"]))
                self._answer(200, {"value": told.secret, "id": told.url + path})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            told.forms.append(parse_qs(body))
            self._answer(200, {"access_token": f"token-{len(told.forms)}", "expires_in": 3600, "token_type": "Bearer"})

        def _answer(self, status: int, answer: dict[str, object]) -> None:
            body = msgspec.json.encode(answer)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost").configure_cert(context)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    told.url = f"https://localhost:{server.server_address[1]}"
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    serving.start()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(folder / "authority.pem"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    yield told
    server.shutdown()
    serving.join()
    server.server_close()
