"""What is to be called: where, with which key in which header, and what is asked there.

    kind     address of a chat                                          key
    azure    {base}/openai/deployments/{deployment}/chat/completions    api-key: …
             (responses: {base}/openai/responses)   ?api-version=…
    openai   {base}/chat/completions                                    Authorization: Bearer …

API Management, Tokenweir and other gateways speak one of the two; where the key goes can be said.
"""

import re
from typing import Any, Literal
from urllib.parse import quote

import msgspec

from ..apis import Surface, surface_of
from ..providers import PROVIDERS
from ..upstream import Endpoint

__all__ = ["CALLED", "Kind", "StreamApi", "StreamTarget", "kind_of"]

Kind = Literal["azure", "openai"]
StreamApi = Literal["chat", "completions", "responses"]

CALLED: dict[StreamApi, Surface] = {
    "chat": surface_of("chat_completions"),
    "completions": surface_of("completions"),
    "responses": surface_of("responses"),
}
"""What each `StreamApi` calls."""
_V1 = re.compile(r"/v\d+$")
_SECRET_HEADER = re.compile(r"auth|cookie|key|secret|token", re.IGNORECASE)


class StreamTarget(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint, ready to be called. It does not show its key."""

    name: str
    """What people call it."""
    endpoint: Endpoint
    kind: Kind
    api: StreamApi
    deployment: str
    api_version: str
    key: str | None = None
    key_source: str | None = None
    """The variable or the option that the key came from."""
    key_header: str | None = None
    """Where the key goes instead of the usual header."""
    headers: tuple[tuple[str, str], ...] = ()
    """Sent besides."""
    every_header: bool = False
    """Whether all headers of the answer are told, and not only those that are known to be harmless."""
    members: dict[str, Any] = {}
    """Put into the body besides; None takes a member away."""

    @property
    def surface(self) -> Surface:
        """What is called there."""
        return CALLED[self.api]

    def __repr__(self) -> str:
        return f"<StreamTarget {self.name} {self.url} [{'a' if self.key else 'no'} key]>"

    @property
    def base(self) -> str:
        """The address that the official SDK is given."""
        scheme = "https" if self.endpoint.tls else "http"
        return f"{scheme}://{self.endpoint.authority.decode()}{self._base_path}"

    @property
    def url(self) -> str:
        """Where the call goes. It holds nothing secret."""
        scheme = "https" if self.endpoint.tls else "http"
        return f"{scheme}://{self.endpoint.authority.decode()}{self.request_target}"

    @property
    def request_target(self) -> str:
        """Path and query."""
        if self.kind == "openai":
            return f"{self._base_path}/{self.surface.paths[0]}"
        place = f"/deployments/{quote(self.deployment, safe='')}" if self.surface.has_deployment_path else ""
        version = quote(self.api_version, safe="")
        return f"{self._base_path}/openai{place}/{self.surface.paths[0]}?api-version={version}"

    @property
    def key_line(self) -> tuple[str, str] | None:
        """The header that signs the call."""
        if self.key is None:
            return None
        if self.key_header is not None and self.key_header.lower() != "authorization":
            return self.key_header, self.key
        if self.key_header is not None:
            return "authorization", f"Bearer {self.key}"
        name, _, value = PROVIDERS[self.kind].key_line(self.key).decode().partition(": ")
        return name, value

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be shown, whoever repeats it."""
        headers = tuple(value for name, value in self.headers if _SECRET_HEADER.search(name))
        return (*headers, self.key) if self.key else headers

    def body(self, prompt: str) -> dict[str, Any]:
        """What is asked: a stream, and its usage at the end."""
        body: dict[str, Any] = {"model": self.deployment, "stream": True}
        messages = [{"role": "user", "content": prompt}]
        body[self.surface.prompt] = messages if self.surface.prompt == "messages" else prompt
        if self.surface.asks_for_usage:
            body["stream_options"] = {"include_usage": True}
        body |= self.members
        return {name: value for name, value in body.items() if value is not None}

    @property
    def _base_path(self) -> str:
        """Without the ``/openai`` that is added to each call of Azure's."""
        path = self.endpoint.base.decode()
        return path.removesuffix("/openai") if self.kind == "azure" else path


def kind_of(endpoint: Endpoint) -> Kind:
    """What an endpoint most likely understands: base URLs of OpenAI's API end in their version."""
    if _V1.search(endpoint.base.decode()) or endpoint.host == "api.openai.com":
        return "openai"
    return "azure"
