"""Dead letters in a file, beside which two more stand while it is sent again: ``NAME.sending``, what is being sent, and
``NAME.sent``, how far."""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import ConfigError
from ..records import Clock
from .base import Unavailable
from .dead_letters import LetterStore, StoredLetters
from .json_lines import LinesFile, is_at

__all__ = ["LetterFile", "open_letters"]


class LetterFile:
    """A `LetterStore`. Any number of processes may append; one at a time sends again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.where = str(path)
        self._sending = path.with_name(f"{path.name}.sending")
        self._sent = path.with_name(f"{path.name}.sent")

    def __repr__(self) -> str:
        return f"<LetterFile {self.path}>"

    def append(self, lines: Sequence[bytes]) -> None:
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._alone():
                file = LinesFile(self.path)
                try:
                    file.append(lines)
                finally:
                    file.close()
        except OSError as error:
            raise Unavailable(f"{self.path} takes no dead letters: {error.strerror}") from error

    def waiting(self) -> Iterator[bytes]:
        for letters in (_SendingFile(self._sending, self._sent), _SendingFile(self.path, None)):
            with suppress(FileNotFoundError):
                yield from (line for line, _ in letters.lines())

    @contextmanager
    def claim(self) -> Iterator[Iterator[StoredLetters]]:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield self._claimed()
        except BlockingIOError:
            raise Unavailable(f"dead letters in {self.path.parent} are being sent by another process") from None
        finally:
            os.close(folder)

    def close(self) -> None:
        """There is nothing that stays open."""

    def _claimed(self) -> Iterator[StoredLetters]:
        if self._sending.exists():  # what a sending left that was cut off
            yield _SendingFile(self._sending, self._sent)
        if not self._sending.exists() and self.path.exists():
            self._sent.unlink(missing_ok=True)  # of a file that is gone
            with self._alone():
                os.rename(self.path, self._sending)
            yield _SendingFile(self._sending, self._sent)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else appends to the file, or moves it away, meanwhile."""
        while True:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX)
                if is_at(fd, self.path):
                    yield
                    return
            finally:
                os.close(fd)


class _SendingFile:
    """`StoredLetters` of a file to which nobody appends any more."""

    def __init__(self, path: Path, sent: Path | None) -> None:
        self._path = path
        self._sent = sent

    def lines(self) -> Iterator[tuple[bytes, int]]:
        position = self._position()
        with self._path.open("rb") as file:
            file.seek(position)
            for line in file:
                position += len(line)
                if line.endswith(b"\n"):  # whoever wrote half a line was told so, and has written it again
                    yield line, position

    def done(self, position: int) -> None:
        assert self._sent is not None
        # Of one length always, so that no crash leaves the half of one number.
        fd = os.open(self._sent, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.pwrite(fd, b"%020d" % position, 0)
            os.fdatasync(fd)
        finally:
            os.close(fd)
        if next(self.lines(), None) is None:
            self._path.unlink()
            self._sent.unlink()

    def _position(self) -> int:
        if self._sent is None:
            return 0
        try:
            return int(self._sent.read_text())
        except (FileNotFoundError, ValueError):
            return 0


def open_letters(
    where: str,
    clock: Clock,
    *,
    setting: str,
    folder: str = "",
    client_id: str | None = None,
    ca_bundle: str | None = None,
) -> LetterStore:
    """The file or the container that ``setting`` names. `ConfigError` if it cannot be opened."""
    if "://" not in where:
        return LetterFile(Path(where))
    try:
        from .letter_blobs import LetterBlobs

        return LetterBlobs(where, clock, folder=folder, client_id=client_id, ca_bundle=ca_bundle)
    except ConfigError as error:
        raise ConfigError(f"{setting}: {error}") from error
    except ModuleNotFoundError as error:
        raise ConfigError(f"{setting} needs {error.name}; run: pip install 'tokenweir[azure]'") from error
