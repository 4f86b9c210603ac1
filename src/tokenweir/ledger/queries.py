"""Queries that somebody typed, each in a process of its own, which can be stopped whatever it is doing.

An engine's own limits leave gaps: a function that sleeps is not interrupted, and a single enormous value counts as no
memory. The process gets little address space and is killed when its time is over. Who asked gets an answer in either
case; the process that keeps the ledger feels nothing of it.

The processes are forked from a server (Python's ``forkserver``) that has loaded the engine and opened nothing, so that
one is there in milliseconds.
"""

import json
import multiprocessing
import os
import resource
import signal
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from enum import StrEnum
from multiprocessing.connection import Connection
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple, Protocol

from ..errors import QueryError, TokenweirError
from .base import LedgerError, Piece, Table
from .limits import FOR_EXPORTS, Limits, QuerySlots

__all__ = ["Answering", "OpenLedger", "Queries", "QueriesHere", "Snapshots", "TwoSandboxes", "first_rows", "unchanging"]

_forkserver = multiprocessing.get_context("forkserver")
_forkserver.set_forkserver_preload(["tokenweir.ledger.kql", "duckdb_kql"])

# The engine takes 1 GB for what it sorts and hashes. The rest is the interpreter, the engine's code and threads, and
# the answer: what is mapped, and not what is in use.
_MOST_MEMORY_BYTES = 3 * 1024**3
# Ten thousand rows are a few megabytes, unless their cells hold whole prompts. The keeper of the ledger holds it, too.
_MOST_ANSWER_BYTES = 64 * 1024**2
# A process that is not there by then never will be: the machine has no memory for it.
_START_SECONDS = 30.0
# The engine's own limit says where the time went, so it comes first.
_GRACE_SECONDS = 1.0
# Below the books, which are below the relays.
_NICENESS = 5

TOO_LARGE = "the query needs more memory than queries may have; ask for fewer groups, columns or rows"


class _Sql(Protocol):
    def sql(self, text: str) -> Generator[Piece]: ...


class _Kql(Protocol):
    def kql(self, text: str) -> Generator[Piece]: ...


class Answering(_Sql, _Kql, Protocol):
    """What runs one query: an engine's sandbox."""


class TwoSandboxes(NamedTuple):
    """SQL is run by a server's own engine, KQL over copies of its calls."""

    of_sql: _Sql
    of_kql: _Kql

    def sql(self, text: str) -> Generator[Piece]:
        return self.of_sql.sql(text)

    def kql(self, text: str) -> Generator[Piece]:
        return self.of_kql.kql(text)


OpenLedger = Callable[[Limits], AbstractContextManager[Answering]]
"""Opens the ledger in the process of a query; it is pickled on its way there."""

Snapshots = Callable[[], AbstractContextManager[OpenLedger]]
"""What a query is to see, for as long as the block lasts. Leaving it raises `LedgerError` if it did not last."""


class _State(StrEnum):
    """What a query's process says, as JSON, because its whole numbers may have any size."""

    BEGUN = "begun"  # the ledger is open, and the time runs
    PIECE = "piece"  # some rows
    ANSWERED = "answered"  # there are no more
    BAD_QUERY = "bad query"
    LEDGER_FAILED = "ledger failed"


class QueriesHere:
    """Asks a ledger in the memory of this process, which no other process could open."""

    def __init__(self, sandbox: Callable[[Limits], Answering], limits: Limits) -> None:
        self._limits = limits
        self._limited = sandbox(limits)
        self._unlimited = sandbox(FOR_EXPORTS)

    def sql(self, text: str) -> Table:
        return first_rows(self._limited.sql(text), self._limits)

    def kql(self, text: str) -> Table:
        return first_rows(self._limited.kql(text), self._limits)

    def all_rows(self, language: str, text: str) -> Generator[Piece]:
        return self._unlimited.sql(text) if language == "sql" else self._unlimited.kql(text)


class Queries:
    """Asks a ledger, from any thread; a few at once."""

    def __init__(self, snapshots: Snapshots, limits: Limits) -> None:
        self._snapshots = snapshots
        self._limits = limits
        self._slots = QuerySlots(limits)

    def sql(self, text: str) -> Table:
        """Raises `QueryError`; `TooManyQueries` where it should be asked again; `LedgerError`."""
        return first_rows(self._ask("sql", text, self._limits), self._limits)

    def kql(self, text: str) -> Table:
        return first_rows(self._ask("kql", text, self._limits), self._limits)

    def all_rows(self, language: str, text: str) -> Generator[Piece]:
        """All of an answer; raises the same, also in between. It takes a query's place until it is closed."""
        return self._ask(language, text, FOR_EXPORTS)

    def _ask(self, language: str, text: str, limits: Limits) -> Generator[Piece]:
        with self._slots.acquire(), self._snapshots() as open_ledger:
            ours, theirs = _forkserver.Pipe(duplex=False)
            process = _forkserver.Process(
                target=_answer, args=(theirs, open_ledger, limits, language, text), name="query", daemon=True
            )
            with ours:
                try:
                    process.start()
                    theirs.close()
                    yield from _pieces_of(ours, limits)
                except OSError as error:
                    raise LedgerError(f"no process for a query could be started: {error}") from error
                finally:
                    if process.pid is not None:
                        process.kill()
                        process.join()
                        process.close()


def first_rows(pieces: Generator[Piece], limits: Limits) -> Table:
    """As many as the limits allow, with a note where there are more."""
    columns: list[str] = []
    rows: list[list[Any]] = []
    for piece in pieces:
        columns = piece.columns
        rows += piece.rows
    return Table(columns, rows[: limits.rows], limits.note(len(rows)))


def _pieces_of(process: Connection, limits: Limits) -> Generator[Piece]:
    said = _receive(process, _START_SECONDS)
    ends = monotonic() + limits.seconds + _GRACE_SECONDS
    while True:
        if said[0] in (_State.BEGUN, _State.PIECE):
            said = _receive(process, max(0.0, ends - monotonic()))
        match said:
            case [_State.PIECE, columns, kinds, rows]:
                yield Piece(columns, kinds, rows)
            case [_State.ANSWERED]:
                return
            case [_State.BAD_QUERY, words]:
                raise QueryError(words)
            case [_State.LEDGER_FAILED, words]:
                raise LedgerError(words)
            case _:
                raise QueryError(limits.took_too_long())


def _receive(process: Connection, seconds: float) -> list[Any]:
    """What the process says next; nothing if it does not in time. `QueryError` if it died."""
    if not process.poll(seconds):
        return [None]
    try:
        said: list[Any] = json.loads(process.recv_bytes())
        return said
    except EOFError:
        # Where memory ends, the engine often cannot say so any more.
        raise QueryError(TOO_LARGE) from None


def _answer(pipe: Connection, open_ledger: OpenLedger, limits: Limits, language: str, text: str) -> None:
    """The whole life of a query's process."""
    _confine(limits)
    try:
        with open_ledger(limits) as ledger:
            pipe.send_bytes(_encoded(_State.BEGUN))
            held_bytes = 0
            for piece in ledger.kql(text) if language == "kql" else ledger.sql(text):
                said = _encoded(_State.PIECE, piece.columns, piece.kinds, piece.rows)
                held_bytes = len(said) if limits.rows is None else held_bytes + len(said)
                if held_bytes > _MOST_ANSWER_BYTES:
                    raise QueryError(f"the answer is larger than {_MOST_ANSWER_BYTES // 1024**2} MB; ask for less")
                pipe.send_bytes(said)
            said = _encoded(_State.ANSWERED)
    except QueryError as error:
        said = _encoded(_State.BAD_QUERY, str(error))
    except MemoryError:
        said = _encoded(_State.BAD_QUERY, TOO_LARGE)
    except TokenweirError as error:
        said = _encoded(_State.LEDGER_FAILED, str(error))
    except Exception as error:  # its text may quote a row
        said = _encoded(_State.LEDGER_FAILED, f"the query failed inside of us ({type(error).__name__})")
    pipe.send_bytes(said)
    # An engine's threads may still be at it, and there is nothing to put in order.
    os._exit(0)


def _encoded(*said: object) -> bytes:
    return json.dumps(said).encode()


def _confine(limits: Limits) -> None:
    """Of this process, so that it ends by itself even if nobody is left to kill it."""
    for signum in (signal.SIGTERM, signal.SIGALRM):
        signal.signal(signum, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # at a terminal, Ctrl-C goes to everybody
    signal.setitimer(signal.ITIMER_REAL, _START_SECONDS + limits.seconds + _GRACE_SECONDS)
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = _MOST_MEMORY_BYTES if hard == resource.RLIM_INFINITY else min(hard, _MOST_MEMORY_BYTES)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(_NICENESS)
    if sys.platform == "linux":
        with suppress(OSError):  # where a container's memory ends, the query is to go first
            Path("/proc/self/oom_score_adj").write_text("1000")


def unchanging(open_ledger: OpenLedger) -> Snapshots:
    """Of a ledger behind a server, which sees to what a query sees."""

    @contextmanager
    def snapshot() -> Iterator[OpenLedger]:
        yield open_ledger

    return snapshot
