"""What the relay shows an answer to, and what stands in where an answer cannot be metered or a meter fails.

A meter only watches: it never delays, changes or breaks a relay. A defect of ours, or an answer that nobody thought
of, costs the measurement of one answer, and never the answer.
"""

import itertools
import logging
import traceback
from typing import Any

from ..apis import FACTS, JOB_MEMBERS, OTHER, SESSION_OBJECTS, digest, job_of
from ..records import UsageReason
from ..wire import MemberScanner, Path
from .accumulator import Accumulator
from .measurement import Measurement

__all__ = ["Meter", "NullMeter", "log_failure", "replacement"]

_log = logging.getLogger(__name__)
_failures = itertools.count(1)

_MOST_OF_A_MEMBER = 4 * 1024
_FACTS: dict[Path, int] = {**{(name,): _MOST_OF_A_MEMBER for name in JOB_MEMBERS}, **FACTS}
_FACTS[("session", "id")] = _MOST_OF_A_MEMBER


class Meter:
    """One answer's meter. ``feed`` every piece of its body as it comes, then ``finish`` once.

    Neither raises for any bytes, and how the body was cut into pieces makes no difference to the measurement.
    """

    first_token_at: float | None = None
    """When, on the clock the meter was given, the first output of the model came; None before that."""
    knew_last = False
    """Whether the last piece was one event, whole, in which the model wrote something and nothing else is said."""

    def feed(self, piece: bytes) -> None:
        """Watch the next piece: a part of an event, one event or many."""
        raise NotImplementedError

    def finish(self) -> Measurement:
        """What the answer said."""
        raise NotImplementedError

    def written(self) -> int | None:
        """How many tokens the answer has until now, roughly and rather too few; ``None`` within an event, and of what
        is no stream of events. To be asked now and then."""
        return None


class NullMeter(Meter):
    """Holds nothing, unless content is kept. ``chunks`` are pieces as they came.

    With ``reads_usage`` a JSON object is scanned as it passes for its usage, model and id, and for a job that it is
    about or a session that the call has made; nothing else of it counts, since what else an answer of its API means is
    not known.
    """

    def __init__(
        self,
        *,
        keep_content: bool,
        unreadable: str | None = None,
        reason: UsageReason | None = None,
        reads_usage: bool = False,
    ) -> None:
        self._pieces: list[bytes] | None = [] if keep_content else None
        self._count = 0
        self._unreadable = unreadable
        self._reason = reason
        self._scanner = MemberScanner(_FACTS) if reads_usage else None

    def feed(self, piece: bytes) -> None:
        self._count += 1
        if self._pieces is not None:
            self._pieces.append(piece)
        if self._scanner is not None:
            self._scanner.feed(piece)

    def finish(self) -> Measurement:
        read = Accumulator(OTHER)
        read.chunks = self._count
        made: dict[str, Any] = {}
        if self._scanner is not None:
            made = digest(self._scanner)
            found = Accumulator(OTHER)
            found.note_facts(self._scanner)
            read.usage, read.model, read.id = found.usage, found.model, found.id
        content = None if self._pieces is None else b"".join(self._pieces)
        measurement = read.measurement(content=content, unreadable=self._unreadable, reason=self._reason)
        measurement.job = job_of(made)
        if measurement.job is not None:
            measurement.job_id = measurement.job["id"]
        else:
            measurement.session_id = _session_in(made)
        return measurement


def _session_in(answer: dict[str, Any]) -> str | None:
    """The id of the session that an answer is, or tells of beside the key to it."""
    session = answer if answer.get("object") in SESSION_OBJECTS else answer.get("session")
    name = session.get("id") if isinstance(session, dict) else None
    return name if isinstance(name, str) else None


def replacement(meter: Meter, error: Exception) -> Meter:
    """A meter that goes on in place of ``meter``, and says in the end that the answer could not be read."""
    log_failure("an answer could not be metered", error)
    stand_in = NullMeter(
        keep_content=False, unreadable=f"the meter failed: {type(error).__name__}", reason="unreadable"
    )
    try:
        stand_in.first_token_at = meter.first_token_at
    except Exception as again:
        log_failure("a meter did not say when its first token came", again)
    return stand_in


def log_failure(what: str, error: Exception) -> None:
    """Logs where it failed, but not the words of the error, which may quote the answer. Of the first failure, the
    second, the fourth, the eighth and so on, so that a million of them are twenty lines."""
    count = next(_failures)
    if count.bit_count() == 1:
        frames = traceback.extract_tb(error.__traceback__)[-3:]
        places = " > ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in frames)
        _log.error("%s: %s at %s (failure %d of this kind)", what, type(error).__name__, places, count)
