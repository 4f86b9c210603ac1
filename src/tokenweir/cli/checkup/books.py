"""Whether the records can be kept and read: the ledger, and what the journals hold that is not in it yet."""

from collections.abc import Iterator
from pathlib import Path

from ...config import Config
from ...errors import TokenweirError
from ...jobs import jobs_status, open_jobs
from ...journal import JournalReader, journal_directories, load_cursor, read_gap, read_missing, read_status
from ...ledger import NO_LEDGER, LedgerLocked, ledger_file, open_ledger
from ...records import SystemClock
from .check_result import CheckResult, bad, fine, warn

__all__ = ["check_jobs", "check_journals", "check_ledger"]

# Counting further than this takes long and says nothing new.
_ENOUGH = 100_000


def check_ledger(config: Config, *, gateway_runs: bool) -> Iterator[CheckResult]:
    url, file = config.ledger.url, ledger_file(config.ledger.url)
    if url == NO_LEDGER:
        yield fine("ledger: none is kept here; records go to the sinks")
        return
    if file is None:
        yield _server(url)
        return
    if not Path(file).exists():
        yield fine(f"ledger: {url} will be made at the first start")
        return
    try:
        open_ledger(url).close()
    except LedgerLocked as locked:
        if gateway_runs:
            yield fine(f"ledger: {url} is open in the gateway that is running ({locked.holder})")
        else:
            fix = f"stop {locked.holder}, or start this gateway with another [ledger] url"
            yield bad(f"ledger: {url} is open in {locked.holder}, and no gateway answers on the admin port", fix)
    except TokenweirError as error:
        yield bad(
            f"ledger: {error}",
            "restore the file, or move it away: a new one is filled from what the journals hold",
        )
    else:
        yield fine(f"ledger: {url} can be opened")


def _server(url: str) -> CheckResult:
    """A ledger behind a server, whose address may hold a password."""
    try:
        ledger = open_ledger(url)
    except TokenweirError as error:
        return bad(f"ledger: {error}", "start its server, or correct [ledger] url; records wait for it")
    ledger.close()
    return fine(f"ledger: {ledger} can be opened")


def check_journals(config: Config) -> Iterator[CheckResult]:
    """One result for each relay that ever wrote here."""
    try:
        for directory in journal_directories(Path(config.journal.directory)):
            yield _journal(directory)
            yield from _missing(directory)
            yield from _ledger_gap(directory)
            yield from _refusals(directory)
    except TokenweirError as error:
        yield bad(f"journals: {error}", "change [journal] directory, or fix what is said")


def check_jobs(config: Config) -> Iterator[CheckResult]:
    """What is billed later: how much is open, and whether upstreams answer when they are asked."""
    root = Path(config.journal.directory)
    try:
        status, jobs = jobs_status(root, SystemClock()), open_jobs(root)
    except TokenweirError as error:
        yield bad(f"jobs: {error}", "fix the disk, or restore the file")
        return
    if failing := [job for job in jobs if job.failures]:
        what = f"jobs: {len(failing):,} of {len(jobs):,} cannot be asked for; {failing[0].last_error}"
        yield warn(what, "`tokenweir jobs` lists them; those that stay so are given up in the end and not billed")
    elif status.given_up:
        what = f"jobs: {len(jobs):,} are open, and {status.given_up:,} were given up: what these used is not known"
        yield warn(what, "`tokenweir query` over calls with usage_reason given_up names them and the reasons")
    else:
        yield fine(f"jobs: {len(jobs):,} are open")


def _journal(directory: Path) -> CheckResult:
    name = f"journal of {directory.name}"
    status = read_status(directory)
    if status is not None and status.failing_since is not None:
        since = f"{status.failing_since:%Y-%m-%d %H:%M:%S} UTC"
        what = f"{name}: nothing could be written since {since} ({status.last_error})"
        return bad(what, "fix the disk; the relay goes on by itself")
    waiting = _not_in_the_ledger(directory)
    if not waiting:
        return fine(f"{name}: every record that it holds is in the ledger")
    shown = f"{waiting:,}" if waiting < _ENOUGH else f"more than {_ENOUGH:,}"
    fix = "a gateway that runs, or `tokenweir usage`, brings them in"
    return warn(f"{name}: {shown} records are not in the ledger yet", fix)


def _missing(directory: Path) -> Iterator[CheckResult]:
    """What the journal should hold and does not: noted by the relay at its start, or by the books as they read."""
    noted = read_missing(directory)
    if not noted:
        return
    records, segments = sum(one.records for one in noted), sum(one.replica is None for one in noted)
    what = (
        f"journal of {directory.name}: up to {records:,} records are missing, {segments:,} segments were cut or removed"
    )
    fix = (
        "compare the calls of that time with what Azure has counted, then delete "
        f"{directory / 'missing.jsonl'}, which tells of each"
    )
    yield bad(f"{what}; the latest: {noted[-1]}", fix)


def _ledger_gap(directory: Path) -> Iterator[CheckResult]:
    """What the ledger misses that was posted to it once, as the books found when they opened it."""
    gap = read_gap(directory)
    if gap is not None:
        fix = (
            "bring them back with `tokenweir import` from [journal] archive, a file sink or another ledger "
            f"(docs/guides/backup-and-restore.md); if that is not possible, delete {directory / 'ledger-gap.json'}"
        )
        yield bad(f"journal of {directory.name}: {gap}", fix)


def _refusals(directory: Path) -> Iterator[CheckResult]:
    """What the relay that runs there says of its upstreams; which of them, its log and their own findings tell."""
    status = read_status(directory)
    count = int(status.gauges.get("upstream_refusals", 0)) if status is not None and status.running else 0
    if count:
        times = "once" if count == 1 else f"{count:,} times"
        what = f"{directory.name}: upstreams refused this gateway's own credential or network {times}"
        yield warn(f"{what} since it began", "see what is found of each upstream; the log of the gateway names them")


def _not_in_the_ledger(directory: Path) -> int:
    reader = JournalReader(directory, load_cursor(directory, "ledger"))
    count = 0
    while count < _ENOUGH and (records := reader.read(5_000).records):
        count += len(records)
    return count
