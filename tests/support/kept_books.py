"""A journal, its books and their archive in one process, on a clock of their own."""

from pathlib import Path

from tokenweir.delivery.shipping import Shipping
from tokenweir.journal import Journal, JournalSettings
from tokenweir.ledger import Ledger, open_ledger
from tokenweir.records import CallRecord, Duration, from_fields, new_call_id
from tokenweir.serve.books import Books
from tokenweir.serve.passed_segments import PassedSegments

from .clocks import JumpingClock
from .journals import NOW

__all__ = ["KeptBooks"]


class KeptBooks:
    """A journal, its books and their archive."""

    def __init__(self, folder: Path, url: str | None = None) -> None:
        self.folder, self.root = folder, folder / "journal"
        self.clock = JumpingClock(NOW)
        self.url = url or f"duckdb:{folder / 'ledger.duckdb'}"
        self.settings = JournalSettings(archive=str(folder / "archive"), archive_for=Duration(86_400))
        self.ledger: Ledger = open_ledger(self.url)
        self.books = self._new_books()
        self.segments = PassedSegments(self.root, lambda: self.settings, self.clock, has_ledger=True)

    def _new_books(self) -> Books:
        return Books(self.root, self.ledger, self.clock, Shipping(self.root, [], {}, self.clock))

    def call(self, count: int) -> None:
        """A run of a relay with so many calls. Each begins a segment."""
        journal = Journal.open(self.root / "relay-0", self.settings, self.clock)
        for _ in range(count):
            seq = journal.next_seq()
            journal.append(self.record(journal.replica, seq))
        assert journal.close() == 0

    def record(self, replica: str, seq: int) -> CallRecord:
        return from_fields(
            call_id=new_call_id(),
            started_at=self.clock.now(),
            replica=replica,
            seq=seq,
            caller=f"team-{seq % 3}",
            usage_source="reported",
            input_tokens=seq,
            output_tokens=7,
            total_tokens=seq + 7,
            request_body="What does a weir do?",
        )

    def post(self) -> None:
        self.books.catch_up()
        self.segments.tidy()
        self.books.look_at_gaps()

    def back_up(self) -> bytes:
        self.ledger.close()
        content = (self.folder / "ledger.duckdb").read_bytes()
        self.open()
        return content

    def restore(self, content: bytes | None) -> None:
        self.ledger.close()
        (self.folder / "ledger.duckdb").unlink()
        if content is not None:
            (self.folder / "ledger.duckdb").write_bytes(content)
        self.open()

    def open(self) -> None:
        self.ledger = open_ledger(self.url)
        self.books = self._new_books()

    @property
    def calls(self) -> int:
        return int(sum(row["calls"] for row in self.ledger.usage([])))

    @property
    def missing(self) -> float:
        [line] = [
            line
            for line in self.books.metrics.exposition().decode().splitlines()
            if line.startswith("tokenweir_relay_ledger_missing_records{")
        ]
        return float(line.split()[-1])
