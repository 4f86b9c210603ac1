"""The keys file as a running gateway has it in force: read when it changes, on a local disk or on a share.

A share may answer late or never, so a thread of its own looks. A share's times can be wrong and its attributes old, so
the content is read now and then although nothing seems to have changed, and what counts is its digest.

When the file cannot be read: as long as nothing tells that it has changed (the share is away, the file is gone), the
keys stay in force. A file that *has* changed may revoke a key, so after a few seconds, which an editor or a copy may
take to write it, every key of the file is refused until it can be read.

Where many gateways share their keys, each looks there, and has the file as a copy with which it goes on while the place
is away, also after a start. A place that is away has not said that anything has changed; one whose document is no keys
file has.
"""

import logging
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from ..errors import ConfigError
from ..journal import Trouble
from ..policy import KeyStore, StoredKey, decode_keys, digest_of, write_copy
from ..records import Clock

__all__ = ["KeysInForce", "KeysWatch"]

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
# A file of 1,000 keys is 250 KB and read in a millisecond.
_READ_ANYWAY_SECONDS = 5.0
# Whoever writes the file in place needs less; whoever revokes a key does not want to wait longer.
_CLOSE_AFTER_SECONDS = 10.0
# A question to a database or a storage account.
_ASK_SECONDS = 2.0
# A look takes microseconds; a share that has not answered by then hangs.
_HANGS_AFTER_SECONDS = 10.0


class KeysInForce(msgspec.Struct, frozen=True):
    """What was read last, and what has been wrong since."""

    stored: tuple[StoredKey, ...] = ()
    digest: int = 0
    """`digest_of` the file's content; 0 where there is no file."""
    is_closed: bool = False
    """Whether the file has changed and cannot be read, so that none of its keys counts."""
    trouble: Trouble | None = None


class KeysWatch:
    """Follows one keys file, or what it is the copy of. ``in_force`` may be read from any thread; ``look`` is for one
    at a time."""

    def __init__(self, path: Path, clock: Clock, shared: KeyStore | None = None) -> None:
        """Looks once."""
        self.path = path
        self._shared = shared
        self._where = shared.where if shared is not None else str(path)
        self._is_copy_told = False
        self._clock = clock
        self._seen: tuple[int, ...] | None = None
        self._read_at = self._looked_at = clock.monotonic()
        self._is_looking = False
        self._unreadable_since: float | None = None
        self._close_after = 0.0  # nothing is in force yet that could stay
        self._ended = threading.Event()
        self.in_force = KeysInForce()
        self.look()
        self._close_after = _CLOSE_AFTER_SECONDS

    def __repr__(self) -> str:
        return f"<KeysWatch {self._where} {self.in_force.digest:012x}>"

    @property
    def trouble(self) -> Trouble | None:
        """What is wrong at present, a look that hangs included."""
        seconds = self._clock.monotonic() - self._looked_at
        if self._is_looking and seconds > _HANGS_AFTER_SECONDS:
            return Trouble(self._clock.now(), f"{self._where} has not answered for {seconds:.0f} s; is it away?")
        return self.in_force.trouble

    def start(self, changed: Callable[[], None]) -> None:
        """Looks every second, in a thread, which calls ``changed`` when other keys are in force."""

        def run() -> None:
            while not self._ended.wait(_LOOK_SECONDS):
                if self.look():
                    changed()

        # A daemon: a share that hangs must not keep the process from ending.
        threading.Thread(target=run, name="keys", daemon=True).start()

    def end(self) -> None:
        self._ended.set()

    def look(self) -> bool:
        """Reads the file if it has, or may have, changed. Whether other keys are in force now."""
        self._looked_at, self._is_looking = self._clock.monotonic(), True
        before = self.in_force
        try:
            self._look() if self._shared is None else self._ask(self._shared)
        finally:
            self._is_looking = False
        self._tell(before.trouble, self.in_force.trouble)
        return (before.digest, before.is_closed) != (self.in_force.digest, self.in_force.is_closed)

    def _look(self) -> None:
        seen: tuple[int, ...] | None = None
        try:
            stat = self.path.stat()
            seen = (stat.st_dev, stat.st_ino, stat.st_mtime_ns, stat.st_size)
            is_due = self._clock.monotonic() - self._read_at >= _READ_ANYWAY_SECONDS
            if seen == self._seen and not is_due and self.in_force.trouble is None:
                return
            content = self.path.read_bytes()
            keys = self._read(self.path, content)
        except FileNotFoundError:
            if self.in_force.digest:
                self._in_trouble(f"{self.path} is gone; the keys it held stay in force until it is back")
            elif self.in_force.trouble is not None:
                self._unreadable_since, self.in_force = None, KeysInForce()
            return
        except OSError as error:
            self._cannot_read(f"{self.path} cannot be read: {error.strerror}", seen)
            return
        except ConfigError as error:
            self._cannot_read(str(error), seen)
            return
        self._seen, self._read_at, self._unreadable_since = seen, self._clock.monotonic(), None
        self.in_force = keys

    def _read(self, where: Path | str, content: bytes) -> KeysInForce:
        """What was read already is not decoded again: of many keys that takes its time. Raises ConfigError."""
        digest, before = digest_of(content), self.in_force
        if digest == before.digest and not before.is_closed:
            return KeysInForce(before.stored, digest)
        return KeysInForce(tuple(decode_keys(where, content)), digest)

    def _ask(self, shared: KeyStore) -> None:
        now = self._clock.monotonic()
        if self._seen is not None and now - self._read_at < _ASK_SECONDS:
            return
        is_first, self._seen, self._read_at = self._seen is None, (), now
        try:
            content = shared.content()
        except ConfigError as error:
            if is_first:
                self._take_copy()
            self._in_trouble(f"{error}; the keys stay in force as they were read last")
            return
        if content is None:
            if self.in_force.digest:
                self._in_trouble(f"there are no keys in {shared.where} any more; those it held stay in force")
            elif self.in_force.trouble is not None:
                self.in_force = KeysInForce()
            return
        try:
            keys = self._read(shared.where, content)
        except ConfigError as error:
            self._cannot_read(str(error), None if digest_of(content) == self.in_force.digest else (1,))
            return
        self._unreadable_since = None
        if keys.digest != self.in_force.digest:
            self._keep_copy(content)
        self.in_force = keys

    def _take_copy(self) -> None:
        """At the start, where nothing else is known. Without a copy nobody knows which keys there are."""
        try:
            content = self.path.read_bytes()
            self.in_force = KeysInForce(tuple(decode_keys(self.path, content)), digest_of(content))
        except (OSError, ConfigError):
            self.in_force = KeysInForce(is_closed=True)

    def _keep_copy(self, content: bytes) -> None:
        try:
            write_copy(self.path, content)
        except OSError as error:
            if not self._is_copy_told:
                _log.warning("keys: the copy %s cannot be written (%s)", self.path, error.strerror)
            self._is_copy_told = True

    def _cannot_read(self, why: str, seen: tuple[int, ...] | None) -> None:
        now = self._clock.monotonic()
        if seen is None or seen == self._seen:
            self._in_trouble(f"{why}; its keys stay in force as they were read last")
            return
        if self._unreadable_since is None:
            self._unreadable_since = now
        is_closed = self.in_force.is_closed or now - self._unreadable_since >= self._close_after
        state = "are refused" if is_closed else f"will be refused in {_CLOSE_AFTER_SECONDS:.0f} s"
        self._in_trouble(f"{why}; it has changed and may revoke a key, so all of its keys {state}", is_closed)

    def _in_trouble(self, message: str, is_closed: bool | None = None) -> None:
        before = self.in_force
        since = before.trouble.since if before.trouble else self._clock.now()
        is_closed = before.is_closed if is_closed is None else is_closed
        self.in_force = msgspec.structs.replace(
            before,
            # With shared keys that are away, calls go on; of a file nobody knows whether it was meant to be read.
            trouble=Trouble(since, message, hinders_calls=self._shared is None or is_closed),
            is_closed=is_closed,
        )

    def _tell(self, before: Trouble | None, now: Trouble | None) -> None:
        if now is not None and (before is None or before.message != now.message):
            _log.error("keys: %s", now.message)
        elif before is not None and now is None:
            _log.info("keys: %s can be read again", self._where)
