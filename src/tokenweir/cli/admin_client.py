"""Asks a running gateway's admin port, as the commands do while that gateway holds the ledger."""

import http.client
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import urlencode

import msgspec

from ..config import Config, parse_address
from ..errors import ConfigError, QueryError, TokenweirError

__all__ = ["AdminClient", "NoAnswer"]

# A query over months of calls may think for a while; a gateway that is not there says so at once.
_TIMEOUT_SECONDS = 120.0

# What an address means to someone who wants to listen is not where someone else can call.
_REACHED_AT = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class NoAnswer(TokenweirError):
    """Nothing of ours answers on the admin port."""


class AdminClient:
    """The admin port of the gateway that this configuration describes, or the one at ``address``."""

    def __init__(self, config: Config, address: str | None = None) -> None:
        self._address = address or config.server.admin
        host, self._port = parse_address(self._address)
        self._host = _REACHED_AT.get(host, host)
        self._token = config.server.admin_token

    def get(
        self, path: str, parameters: Mapping[str, str | int | None] | None = None, patience: float = _TIMEOUT_SECONDS
    ) -> Any:
        """The JSON at a path. ``None`` parameters are left out. ``patience``: how many seconds the answer may take."""
        given = {name: value for name, value in (parameters or {}).items() if value is not None}
        return self._ask("GET", f"{path}?{urlencode(given)}" if given else path, None, patience)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._ask("POST", path, msgspec.json.encode(body))

    def readiness(self) -> list[Any]:
        """What ``/readyz`` says, ready or not: checks with ``name``, ``ok`` and ``message``."""
        with self._answer("GET", "/readyz", None) as response:
            content = response.read()
        checks: list[Any] = self._understand(200 if response.status == 503 else response.status, content)["checks"]
        return checks

    def lines(self, path: str, body: Mapping[str, Any]) -> Iterator[Any]:
        """Each line of an answer that may be long, decoded. Raises as `post`; `NoAnswer` where it breaks off."""
        with self._answer("POST", path, msgspec.json.encode(body)) as response:
            if response.status != 200:
                self._understand(response.status, response.read())
            try:
                yield from map(msgspec.json.decode, response)
            except (OSError, http.client.HTTPException, msgspec.DecodeError) as error:
                raise NoAnswer(f"the answer of the gateway on {self._address} broke off ({error})") from error

    def _ask(self, method: str, target: str, body: bytes | None, patience: float = _TIMEOUT_SECONDS) -> Any:
        with self._answer(method, target, body, patience) as response:
            try:
                content = response.read()
            except (OSError, http.client.HTTPException) as error:
                raise self._away(error) from error
        return self._understand(response.status, content)

    @contextmanager
    def _answer(
        self, method: str, target: str, body: bytes | None, patience: float = _TIMEOUT_SECONDS
    ) -> Iterator[http.client.HTTPResponse]:
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection = http.client.HTTPConnection(self._host, self._port, timeout=patience)
        with closing(connection):
            try:
                connection.request(method, target, body, headers)
                response = connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                raise self._away(error) from error
            yield response

    def _away(self, error: Exception) -> NoAnswer:
        return NoAnswer(f"no gateway answers on the admin port {self._address} ({error})")

    def _understand(self, status: int, content: bytes) -> Any:
        try:
            answer = msgspec.json.decode(content)
        except msgspec.DecodeError as error:
            raise NoAnswer(f"what answers on the admin port {self._address} is no Tokenweir") from error
        if status == 401:
            raise ConfigError(
                f"the gateway on {self._address} asks for its admin token; "
                "give the same configuration, or set TOKENWEIR_SERVER__ADMIN_TOKEN"
            )
        if status >= 400 and status != 404:
            raise QueryError(_message(answer) or f"the gateway on {self._address} answered {status}")
        return None if status == 404 else answer


def _message(answer: Any) -> str | None:
    try:
        return str(answer["error"]["message"])
    except (KeyError, TypeError):
        return None
