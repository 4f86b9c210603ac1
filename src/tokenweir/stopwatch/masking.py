"""Keeps secrets out of what is shown and saved, also where an endpoint repeats them and a read cuts one in two."""

from collections.abc import Sequence

__all__ = ["BodyMask", "mask"]

# Keys have 20 characters and more. What is shorter, such as a simulator's "anything", is nobody's secret, and
# masking it would blot out words of the answer.
_SHORTEST = 12


def mask(text: str, secrets: Sequence[str]) -> str:
    """``text`` with stars for every secret in it."""
    for secret in _worth_hiding(secrets):
        text = text.replace(secret, "*" * len(secret))
    return text


class BodyMask:
    """Masks a body that comes in pieces.

    ``feed`` returns as many bytes as it got, but for a beginning of a secret at the end of a piece, which waits for
    what follows. Events end in an empty line and secrets have none, so that an event is never held back.
    """

    def __init__(self, secrets: Sequence[str]) -> None:
        self._secrets = [secret.encode() for secret in _worth_hiding(secrets)]
        self._held = b""

    def feed(self, piece: bytes) -> bytes:
        data = self._masked(self._held + piece)
        held = max((_beginning(data, secret) for secret in self._secrets), default=0)
        self._held = data[len(data) - held :]
        return data[: len(data) - held]

    def finish(self) -> bytes:
        """What still waited when the body ended."""
        held, self._held = self._held, b""
        return held

    def _masked(self, data: bytes) -> bytes:
        for secret in self._secrets:
            data = data.replace(secret, b"*" * len(secret))
        return data


def _worth_hiding(secrets: Sequence[str]) -> list[str]:
    """The longest first: one may be part of another."""
    return sorted({secret for secret in secrets if len(secret) >= _SHORTEST}, key=len, reverse=True)


def _beginning(data: bytes, secret: bytes) -> int:
    """How many bytes at the end of ``data`` may be the beginning of ``secret``."""
    for size in range(min(len(secret) - 1, len(data)), 0, -1):
        if data.endswith(secret[:size]):
            return size
    return 0
