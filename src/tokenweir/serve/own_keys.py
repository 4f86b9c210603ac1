"""Whose key this is, for the few questions that callers ask of the books."""

from collections.abc import Callable
from threading import Lock

from ..config import Config
from ..policy import Identity, Keyring, KeyStore, decode_keys
from ..records import Clock

__all__ = ["OwnKeys"]


class OwnKeys:
    """Reads the keys each time, as a revoked one must open nothing; what it makes of them it keeps."""

    def __init__(self, store: KeyStore, config: Callable[[], Config], clock: Clock) -> None:
        self._store = store
        self._config = config
        self._clock = clock
        self._lock = Lock()
        self._made: tuple[bytes, Config, Keyring] | None = None

    def identify(self, key: bytes | None) -> Identity:
        """Raises as `Keyring.identify` does, and ConfigError where the keys cannot be read. Blocks."""
        content, config = self._store.content() or b"", self._config()
        with self._lock:
            made = self._made
            if made is None or made[0] != content or made[1] is not config:
                stored = decode_keys(self._store.where, content) if content else []
                is_open = config.server.shared_keys is None
                keyring = Keyring(config.callers, stored, config.groups, may_be_open=is_open)
                made = self._made = content, config, keyring
        return made[2].identify(key, self._clock.now())
