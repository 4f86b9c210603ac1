"""An issuer as Microsoft Entra ID is one, on loopback: signing keys that can be rotated, and tokens made with them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric import rsa

from tokenweir.policy import EntraSettings
from tokenweir.records import Clock

__all__ = ["APPLICATION", "AUDIENCE", "TENANT", "Issuer", "issuer_settings", "serving_issuer"]

TENANT = "11111111-2222-3333-4444-555555555555"
APPLICATION = "aaaaaaaa-0000-0000-0000-000000000001"
AUDIENCE = "api://tokenweir"

_KEYS = [rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(3)]
"""Made once: that takes its time."""


@dataclass
class Issuer:
    """What it signs with, how it answers, and how often it was asked."""

    clock: Clock
    published: list[int] = field(default_factory=lambda: [0])
    """Which of its keys are in its JWKS."""
    is_ill: bool = False
    asked: int = 0
    has_been_asked: threading.Condition = field(default_factory=threading.Condition)
    port: int = 0

    def document(self) -> bytes:
        keys = []
        for number in self.published:
            key = jwt.algorithms.RSAAlgorithm.to_jwk(_KEYS[number].public_key(), as_dict=True)
            keys.append({**key, "kid": f"key-{number}", "use": "sig"})
        return msgspec.json.encode({"keys": keys})

    def public_key(self, number: int = 0) -> rsa.RSAPublicKey:
        return _KEYS[number].public_key()

    def private_key(self, number: int = 0) -> rsa.RSAPrivateKey:
        return _KEYS[number]

    def token(self, *, number: int = 0, headers: dict[str, Any] | None = None, **claims: Any) -> str:
        """A good token of an application for itself, but for what is given; ``None`` leaves a claim out."""
        now = int(self.clock.now().timestamp())
        usual = {
            "iss": f"https://login.microsoftonline.com/{TENANT}/v2.0",
            "aud": AUDIENCE,
            "tid": TENANT,
            "azp": APPLICATION,
            "oid": "object-of-the-application",
            "iat": now,
            "nbf": now,
            "exp": now + 3600,
        }
        said = {name: value for name, value in {**usual, **claims}.items() if value is not None}
        return jwt.encode(said, _KEYS[number], "RS256", {"kid": f"key-{number}", **(headers or {})})


def issuer_settings(issuer: Issuer, **settings: Any) -> EntraSettings:
    url = f"http://127.0.0.1:{issuer.port}/{{tenant}}/discovery/v2.0/keys"
    usual: dict[str, Any] = {"tenants": [TENANT], "audiences": [AUDIENCE], "keys_url": url}
    return EntraSettings(**{**usual, **settings})


@contextmanager
def serving_issuer(clock: Clock) -> Iterator[Issuer]:
    issuer = Issuer(clock)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = issuer.document()
            self.send_response(503 if issuer.is_ill else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            with issuer.has_been_asked:
                issuer.asked += 1
                issuer.has_been_asked.notify_all()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer.port = server.server_address[1]
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    serving.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        serving.join()
        server.server_close()
