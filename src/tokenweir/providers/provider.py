"""What there is to know of one kind of upstream, as data. Nothing outside this room asks for a provider by name."""

import re
from collections.abc import Mapping
from typing import Literal

import msgspec

from ..records import PathFamily

__all__ = ["Probe", "Provider"]


class Probe(msgspec.Struct, frozen=True):
    """The request with which ``doctor`` tries an upstream: free of charge, and with the rights of a call."""

    family: PathFamily
    tail: str
    method: str = "GET"
    body: bytes | None = None
    accepted: frozenset[int] = frozenset()
    """Statuses besides 2xx that only a caller gets who is signed in."""


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """One value of ``kind`` in ``[[upstreams]]``."""

    title: str
    """For people."""

    # addresses
    paths: Mapping[PathFamily, str]
    """Path family → path behind ``prefix``, with ``{deployment}`` and ``{tail}``; or ``{path}``, which is the caller's
    whole path, without ``prefix``. A family that is not named is not served."""
    prefix: str
    """What stands between an endpoint's own path and ``paths``, unless the endpoint ends in it."""
    versioned: frozenset[PathFamily] = frozenset()
    """Families that take ``api-version``. Where there is none, a caller's is not passed on."""
    api_version: str | None = None
    """One that is served everywhere, for requests of our own."""
    example: str
    """An endpoint, as it is to be written."""
    mistakes: tuple[tuple[re.Pattern[str], str], ...] = ()
    """Pattern of an endpoint, less its scheme and the slash at its end → what is wrong with it, and the fix."""

    # credentials
    key_header: Literal["api-key", "authorization", "x-api-key"]
    """Where a key goes, and where callers of this provider's API put theirs."""
    key_variables: tuple[str, ...]
    """The variables that its official SDK, or a tool that came before us, reads a key from."""
    url_variable: str
    """The variable from which its official SDK reads an address."""
    token_scope: str = "https://cognitiveservices.azure.com/.default"
    """What a managed identity's token has to be for."""
    role: str = "Cognitive Services OpenAI User"
    """What a managed identity must be allowed."""

    # requests and answers
    headers: tuple[tuple[bytes, bytes], ...] = ()
    """Lower-case name and value of headers that a request must have; a caller's own stays."""
    takes_stream_options: bool = True
    """Whether usage can be asked for on a caller's behalf."""
    bills_end_tokens: bool = False
    """Whether an answer's tokens include those that end a message; for estimates."""
    retires_on_schedule: bool = False
    """Whether its models retire as ``deployments.RETIREMENTS`` says."""
    credential_codes: frozenset[str] = frozenset()
    """Error codes of a 403 that is about the credential."""
    network_codes: frozenset[str] = frozenset()
    """Error codes of a 403 that is about the network we call from."""
    credential_messages: str | None = None
    """Likewise, where the code does not tell: a regular expression that an error's message holds, in any case."""
    network_messages: str | None = None
    caller_codes: frozenset[str] = frozenset()
    """Error codes of a 401 that is about a header of the caller's, which travels with our key."""
    probe: Probe

    def mistake_in(self, endpoint: str) -> str | None:
        """What is wrong with an endpoint (without its scheme), and the fix; ``None`` where nothing is known to be."""
        written = endpoint.rstrip("/")
        return next((mistake for pattern, mistake in self.mistakes if pattern.search(written)), None)

    def serves(self, family: PathFamily) -> bool:
        """Whether calls to paths of ``family`` can go there."""
        return family in self.paths

    @property
    def deployment_families(self) -> frozenset[PathFamily]:
        """Families whose paths say which deployment is meant; elsewhere the body's ``model`` does."""
        return frozenset(family for family, path in self.paths.items() if "{deployment}" in path)

    def request_target(
        self,
        base: bytes,
        family: PathFamily,
        tail: str,
        deployment: str | None = None,
        query: bytes = b"",
        api_version: str | None = None,
        path: str = "",
    ) -> bytes:
        """Path and query of a request. ``base`` is the endpoint's path and ``path`` the caller's; ``query`` comes
        without the caller's key, and gets ``api_version`` where it belongs and has none."""
        prefix, place = self.prefix.encode("ascii"), self.paths[family]
        if place == "{path}":
            where = base.removesuffix(prefix) + path.encode("ascii")
        else:
            where = base if base.endswith(prefix) else base + prefix
            where += place.format(deployment=deployment or "", tail=tail).encode("ascii")
        if not self.versioned:
            query = b"&".join(part for part in query.split(b"&") if not part.startswith(b"api-version="))
        elif api_version and family in self.versioned and b"api-version=" not in query:
            query = b"%b%bapi-version=%b" % (query, b"&" if query else b"", api_version.encode("ascii"))
        return where + b"?" + query if query else where

    def key_line(self, key: str) -> bytes:
        """The header line that signs with a key."""
        return f"{self.key_header}: {'Bearer ' if self.key_header == 'authorization' else ''}{key}".encode()
