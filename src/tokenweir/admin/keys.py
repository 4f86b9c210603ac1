"""Keys by the admin port: made, rotated, suspended, resumed and revoked by the gateway itself, which then says which of
its relays have the change in force. Who asks waits for that, some seconds at most."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Any

import msgspec
from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response

from ..errors import ConfigError, QueryError
from ..policy import (
    KeyNotValid,
    KeyStore,
    StoredKey,
    UnknownKey,
    add_key,
    digest_of,
    moment_of_expiry,
    read_keys,
    require_groups,
    resume_key,
    revoke_key,
    rotate_key,
    suspend_key,
)
from ..records import Clock, Duration
from .health import Applied, RelayStatus
from .params import read_body
from .responses import error_response, json_response

__all__ = ["KeysApi"]

# A relay looks every second and says so within another.
_PATIENCE_SECONDS = 5.0
_PAUSE_SECONDS = 0.1


class _Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    caller: str
    tags: dict[str, str] = {}
    groups: list[str] = []
    expires: str | None = None


class _Rotation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    overlap: str = "24h"
    expires: str | None = None


_CHANGES: dict[str, tuple[Callable[[KeyStore, str, Clock], StoredKey], str]] = {
    "revoke": (revoke_key, "not_revoked"),
    "suspend": (suspend_key, "not_suspended"),
    "resume": (resume_key, "not_resumed"),
}
"""What a POST does to one key, and the code where that cannot be written down."""


class KeysApi:
    """Answers questions about the keys in one place."""

    def __init__(
        self,
        store: KeyStore,
        relays: Callable[[], list[RelayStatus]],
        groups: Callable[[], Collection[str]],
        clock: Clock,
    ) -> None:
        """``groups``: the names of those that are configured."""
        self._store = store
        self._relays = relays
        self._groups = groups
        self._clock = clock

    async def all(self, request: Request) -> Response:
        stored = await run_sync(read_keys, self._store)
        return await self._answer(0, keys=[_without_hash(one) for one in stored])

    async def create(self, request: Request) -> Response:
        try:
            wanted = msgspec.json.decode(await read_body(request), type=_Wanted)
        except msgspec.DecodeError as error:
            raise QueryError(f'the body must be like {{"caller": "team-a", "tags": {{}}}}: {error}') from error

        def make() -> tuple[str, StoredKey]:
            require_groups(wanted.groups, self._groups())
            expires_at = moment_of_expiry(wanted.expires, self._clock) if wanted.expires else None
            return add_key(
                self._store, wanted.caller, wanted.tags, self._clock, groups=wanted.groups, expires_at=expires_at
            )

        try:
            key, stored = await run_sync(make)
        except ConfigError as error:
            return _refused(error)
        return await self._answer(_PATIENCE_SECONDS, 201, key=key, stored=_without_hash(stored))

    async def rotate(self, request: Request) -> Response:
        try:
            wanted = msgspec.json.decode(await read_body(request) or b"{}", type=_Rotation)
            overlap = Duration.parse(wanted.overlap)
        except ValueError as error:
            raise QueryError(f'the body must be like {{"overlap": "24h"}}: {error}') from error

        def make() -> tuple[str, StoredKey, StoredKey]:
            expires_at = moment_of_expiry(wanted.expires, self._clock) if wanted.expires else None
            return rotate_key(self._store, request.path_params["key_id"], overlap, self._clock, expires_at=expires_at)

        try:
            key, stored, replaced = await run_sync(make)
        except ConfigError as error:
            return _refused(error)
        return await self._answer(
            _PATIENCE_SECONDS, 201, key=key, stored=_without_hash(stored), replaced=_without_hash(replaced)
        )

    def changing(self, verb: str) -> Callable[[Request], Awaitable[Response]]:
        """The answer to a POST that does this to one key."""
        change, code = _CHANGES[verb]

        async def answer(request: Request) -> Response:
            try:
                stored = await run_sync(change, self._store, request.path_params["key_id"], self._clock)
            except (UnknownKey, KeyNotValid) as error:
                return _refused(error)
            except ConfigError as error:
                stays = "" if verb == "resume" else f"; {await run_sync(self._accepted_by)}"
                return error_response(503, code, f"{error}{stays}")
            return await self._answer(_PATIENCE_SECONDS, stored=_without_hash(stored))

        return answer

    async def _answer(self, patience: float, status: int = 200, **what: Any) -> Response:
        """``what``, and where it is in force, once it is everywhere or patience is at its end."""
        waited = 0.0
        seen = await run_sync(self._in_force)
        while not all(one.in_force for one in seen) and waited < patience:
            await asyncio.sleep(_PAUSE_SECONDS)
            waited += _PAUSE_SECONDS
            seen = await run_sync(self._in_force)
        return json_response({"file": self._store.where, **what, "relays": seen}, status)

    def _in_force(self) -> list[Applied]:
        content = self._store.content()
        digest = digest_of(content) if content is not None else 0
        return [_in_force(relay, digest) for relay in self._relays() if relay.fresh]

    def _accepted_by(self) -> str:
        """Of a key that could not be stopped: which relays work with the keys as they were read last."""
        names = [relay.name for relay in self._relays() if relay.fresh and relay.gauges.get("keys_digest")]
        return f"the key is still accepted by {', '.join(names)}" if names else "no relay says that it accepts the key"


def _refused(error: ConfigError) -> Response:
    if isinstance(error, UnknownKey):
        return error_response(404, "unknown_key", str(error))
    if isinstance(error, KeyNotValid):
        return error_response(409, "not_valid", str(error))
    return error_response(400, "no_key", str(error))


def _in_force(relay: RelayStatus, digest: int) -> Applied:
    if relay.gauges.get("keys_digest") == digest:
        return Applied(relay.name, True)
    trouble = relay.journal.troubles.get("keys") if relay.journal is not None else None
    return Applied(relay.name, False, trouble.message if trouble else "it has not read the file's present state")


def _without_hash(stored: StoredKey) -> dict[str, Any]:
    described: dict[str, Any] = msgspec.to_builtins(stored)
    del described["sha256"]
    return described
