"""Whether a ledger still holds what it was given: its seals are made again from its calls, and compared."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Any, Protocol

import msgspec

from .seals import Seal, digest_of_rows

__all__ = ["Altered", "MissingNumbers", "SealedLedger", "Verification", "calls_by_seal", "verify"]

# Calls read at once: some megabytes.
_AT_ONCE = 20_000
# Their numbers are written into the question.
_MOST_SEALS = 1_000


class Altered(msgspec.Struct, frozen=True):
    """A batch of which the ledger holds something else than it was given."""

    seal: int
    sealed_at: datetime
    first_started: datetime
    last_started: datetime
    sealed: int
    """How many calls were given."""
    found: int
    """How many there are. Where both are the same, one or more were changed."""


class MissingNumbers(msgspec.Struct, frozen=True):
    """A run of a relay of which numbers are missing."""

    replica: str
    first: int
    last: int
    missing: int


class Verification(msgspec.Struct, frozen=True):
    """What was found. Sound is a ledger where nothing is altered, torn or unknown; the rest is for the reader."""

    seals: int
    """How many were made again."""
    calls: int
    """How many calls they cover."""
    altered: list[Altered] = []
    torn: list[str] = []
    """Digests of seals that others name, and that are gone."""
    is_head_there: bool = True
    """Whether the seal that was asked for is there."""
    gaps: list[MissingNumbers] = []
    """Records that were lost before they came here, or that are still to come."""
    unsealed: int = 0
    """Calls from before there were seals."""
    added: int = 0
    """Calls without a seal that began when there were seals already: nobody knows who has posted them."""
    expired: int = 0
    """Seals whose calls were removed for their age, so that they cannot be made again."""
    erased: int = 0
    """Seals that were made anew, as somebody was forgotten; the audit file says when."""
    head: str = ""
    """The newest seal's digest. Whoever keeps it can prove later that nothing before it was removed."""

    @property
    def is_sound(self) -> bool:
        return not (self.altered or self.torn or self.added) and self.is_head_there


class SealedLedger(Protocol):
    """What has to be read."""

    def seals(self) -> list[Seal]:
        """All of them, in the order in which their batches were posted."""
        ...

    def sealed_calls(self, seals: Sequence[int], format: int) -> list[tuple[int, dict[str, Any]]]:
        """The calls under these seals, which ascend, each with its seal and the columns that seals of this format
        cover, in the order of seals and then of ids."""
        ...

    def unsealed(self, since: datetime | None, until: datetime | None) -> int:
        """How many calls have no seal: those that were posted before there were any, and in an engine without
        transactions those whose poster was killed before it had made theirs."""
        ...

    def runs(self, since: datetime | None, until: datetime | None) -> list[tuple[str, int, int]]:
        """The runs of relays that calls are of, each with the first and the last number of a record."""
        ...

    def count_of_run(self, replica: str, first: int, last: int) -> int: ...

    def expired(self) -> datetime | None: ...


def verify(
    ledger: SealedLedger, since: datetime | None = None, until: datetime | None = None, head: str | None = None
) -> Verification:
    """Makes the seals again of all calls that began from ``since`` until before ``until``. ``head``: a digest that was
    noted before, which has to be there. Reads each of these calls once. Raises `LedgerError`."""
    rows = ledger.seals()
    posted = [seal for seal in rows if seal.reason == "posted"]
    made_anew: dict[int, list[str]] = defaultdict(list)
    for seal in rows:
        if seal.reason != "posted":
            made_anew[seal.seal].append(seal.digest)
    digests = {seal.digest for seal in posted}
    wanted = [
        seal
        for seal in posted
        if (since is None or seal.last_started >= since) and (until is None or seal.first_started < until)
    ]
    before, first = ledger.expired(), posted[0].sealed_at if posted else None
    unsealed = ledger.unsealed(since, until)
    added = ledger.unsealed(max(first, since or first), until) if unsealed and first is not None else 0
    kept = [seal for seal in wanted if before is None or seal.first_started >= before]
    return Verification(
        seals=len(kept),
        calls=sum(seal.calls for seal in kept),
        altered=list(_altered(ledger, kept, made_anew)),
        torn=sorted({seal.previous for seal in posted} - digests - {""}),
        is_head_there=head is None or head in digests,
        gaps=list(_gaps(ledger, since, until)),
        unsealed=unsealed - added,
        added=added,
        expired=len(wanted) - len(kept),
        erased=sum(seal.seal in made_anew for seal in kept),
        head=posted[-1].digest if posted else "",
    )


def _altered(ledger: SealedLedger, seals: Sequence[Seal], made_anew: dict[int, list[str]]) -> Iterator[Altered]:
    for seal, calls in calls_by_seal(ledger, seals):
        if digest_of_rows(seal.previous, calls, seal.format) not in (seal.digest, *made_anew.get(seal.seal, ())):
            yield Altered(seal.seal, seal.sealed_at, seal.first_started, seal.last_started, seal.calls, len(calls))


def calls_by_seal(ledger: SealedLedger, seals: Sequence[Seal]) -> Iterator[tuple[Seal, list[dict[str, Any]]]]:
    """Each seal with what the ledger has under it, some thousands of calls read at once."""
    for format, alike in groupby(seals, attrgetter("format")):
        for some in _runs(list(alike)):
            rows = groupby(ledger.sealed_calls([seal.seal for seal in some], format), itemgetter(0))
            found = {number: [call for _, call in of_it] for number, of_it in rows}
            for seal in some:
                yield seal, found.get(seal.seal, [])


def _runs(seals: Sequence[Seal]) -> Iterator[list[Seal]]:
    """Some that have so many calls together as are read at once."""
    some: list[Seal] = []
    size = 0
    for seal in seals:
        if some and (size + seal.calls > _AT_ONCE or len(some) == _MOST_SEALS):
            yield some
            some, size = [], 0
        some.append(seal)
        size += seal.calls
    if some:
        yield some


def _gaps(ledger: SealedLedger, since: datetime | None, until: datetime | None) -> Iterator[MissingNumbers]:
    for replica, first, last in ledger.runs(since, until):
        missing = last - first + 1 - ledger.count_of_run(replica, first, last)
        if missing:
            yield MissingNumbers(replica, first, last, missing)
