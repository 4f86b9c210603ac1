"""The meter for answers that are not metered, or cannot be: it counts pieces, and reads a usage if it is told to."""

from typing import Any

from ..apis import FACTS, JOB_OBJECTS, SESSION_OBJECTS, digest
from ..records import UsageReason
from ..wire import MemberScanner
from .reading import reading_of
from .structs import Reading
from .tally import Tally

__all__ = ["NullMeter"]


class NullMeter:
    """Holds nothing, unless content is kept. ``chunks`` are pieces as they came.

    With ``reads_usage`` a JSON object is scanned as it passes for its usage, model and id, and for the id of a job or a
    session that the call has made; nothing else of it counts, since what else an answer of its API means is not known.
    """

    def __init__(
        self,
        *,
        keep_content: bool,
        unreadable: str | None = None,
        reason: UsageReason | None = None,
        reads_usage: bool = False,
    ) -> None:
        self.first_token_at: float | None = None
        self._pieces: list[bytes] | None = [] if keep_content else None
        self._count = 0
        self._unreadable = unreadable
        self._reason = reason
        self._scanner = MemberScanner(FACTS) if reads_usage else None

    def feed(self, piece: bytes) -> None:
        self._count += 1
        if self._pieces is not None:
            self._pieces.append(piece)
        if self._scanner is not None:
            self._scanner.feed(piece)

    def finish(self) -> Reading:
        tally = Tally("other")
        tally.chunks = self._count
        content = None if self._pieces is None else b"".join(self._pieces)
        if self._scanner is not None:
            read = Tally("other")
            read.note_facts(self._scanner)
            if read.usage is not None:
                tally.usage, tally.model, tally.id = read.usage, read.model, read.id
        reading = reading_of(tally, "other", content=content, unreadable=self._unreadable, reason=self._reason)
        if self._scanner is not None:
            made = digest(self._scanner)
            reading.job_id = _id_in(made, JOB_OBJECTS)
            reading.session_id = _id_in(made, SESSION_OBJECTS)
        return reading


def _id_in(answer: dict[str, Any], kinds: tuple[str, ...]) -> str | None:
    name = answer.get("id")
    return name if answer.get("object") in kinds and isinstance(name, str) else None
