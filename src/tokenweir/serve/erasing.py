"""Forgets somebody: contents and identity go from the ledger, from archived and waiting segments, from files that sinks
write here and from dead letters. Amounts stay. What lies elsewhere is told, and all of it is noted in the audit file.

Everything may be done again: what was left the first time is found the second time.
"""

import hashlib
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from ..config import Config
from ..delivery import DeliveryError, remove_letters
from ..delivery.dead_letters import DeadLetter
from ..delivery.json_lines import LinesFile
from ..delivery.segment_blobs import open_archive
from ..delivery.shipping import letters_of
from ..delivery.sinks import FileConnection, SinkSettings
from ..errors import TokenweirError
from ..jobs import rewrite_jobs
from ..journal import ask_for_next_segment, fixed_segments, journal_directories, rewritten
from ..ledger import NO_LEDGER, Ledger, Person
from ..policy import hashed_subject, read_keys
from ..records import CONTENTS, CallRecord, Clock
from .ledger_gaps import CURSOR

__all__ = ["Erasure", "erase", "make_segments_pass"]

# The books pass a segment within seconds. A sink that is away takes longer, which is told.
_PATIENCE_SECONDS = 15.0

_LINES = 1_000


class Erasure(msgspec.Struct, frozen=True, kw_only=True):
    """What was done, and what is left to do."""

    calls: int = 0
    """Of the ledger."""
    pseudonym: str | None = None
    """What a caller is called from now on."""
    segment_records: int = 0
    """In segments, archived ones included."""
    file_lines: int = 0
    """Of file sinks."""
    dead_letters: int = 0
    jobs: int = 0
    """That are billed later, or were given up."""
    elsewhere: list[str] = []
    """Where more may lie that cannot be reached from here."""
    again: list[str] = []
    """Why this should be done again later."""


def make_segments_pass(
    config: Config,
    clock: Clock,
    step: Callable[[], object],
    pause: Callable[[], object],
    patience: float = _PATIENCE_SECONDS,
) -> None:
    """Lets ledger, sinks and archive have what was recorded until now, as far as they take it: ``step`` passes segments
    on, ``pause`` waits a moment."""
    directories = journal_directories(Path(config.journal.directory))
    leave = () if config.ledger.url == NO_LEDGER else (CURSOR,)
    asked = {directory: ask_for_next_segment(directory, clock, leave) for directory in directories}
    deadline = clock.monotonic() + patience
    while True:
        step()
        left = any(int(path.stem) <= last for one, last in asked.items() for path, _ in fixed_segments(one))
        if not left or clock.monotonic() >= deadline:
            return
        pause()


def erase(config: Config, ledger: Ledger | None, person: Person, clock: Clock, who: str) -> Erasure:
    """Once segments have passed, and while nothing is sent to sinks. Blocks. ``who`` wants it, for the audit file."""
    again: list[str] = []
    secret = config.server.subject_secret
    if person.column == "subject" and secret is not None:
        person = msgspec.structs.replace(person, names=[*person.names, hashed_subject(secret, person.names[0])])
    pseudonym = person.pseudonym if person.column == "caller" else None
    done = Erasure(
        calls=ledger.erase(person) if ledger is not None else 0,
        pseudonym=pseudonym,
        segment_records=_in_journals(config, person, again) + _in_archive(config, person),
        file_lines=sum(_in_file_sink(sink, person) for sink in config.sinks if _is_read_here(sink)),
        dead_letters=sum(_in_letters(sink, person, clock, again) for sink in config.sinks),
        jobs=rewrite_jobs(Path(config.journal.directory), _change(person)),
        elsewhere=list(_elsewhere(config, person)),
        again=again,
    )
    _note(Path(config.retention.audit), person, done, clock, who)
    return done


def _in_journals(config: Config, person: Person, again: list[str]) -> int:
    count = 0
    for directory in journal_directories(Path(config.journal.directory)):
        for segment, is_fixed in fixed_segments(directory):
            found = rewritten(segment, _change(person), None if is_fixed else segment)
            if found and is_fixed:
                again.append(
                    f"{found:,} records stay in the journal {directory}, in {segment.name}, as they came meanwhile or "
                    "the ledger or a sink has not taken the segment; `tokenweir doctor` says which"
                )
            elif found:
                count += found
    return count


def _in_archive(config: Config, person: Person) -> int:
    if config.journal.archive is None:
        return 0
    archive, count = open_archive(config.journal.archive), 0
    for name in archive.names():
        with TemporaryDirectory(prefix="tokenweir-erase-") as folder:
            new = Path(folder) / "new.twj"
            found = rewritten(archive.fetch(name, Path(folder)), _change(person), new)
            if found:
                archive.replace(new, name)
                count += found
    return count


def _change(person: Person) -> Callable[[CallRecord], CallRecord | None]:
    return lambda record: person.forgotten_in(record) if person.is_in(record) else None


def _is_read_here(sink: SinkSettings) -> bool:
    return isinstance(sink.connection, FileConnection) and sink.shape == "tokenweir"


def _in_file_sink(sink: SinkSettings, person: Person) -> int:
    """How many lines of its files were about somebody."""
    assert isinstance(sink.connection, FileConnection)
    path = Path(sink.connection.path)
    count = 0
    for file in [path, *(path.with_name(f"{path.name}.{number}") for number in range(1, sink.connection.keep + 1))]:
        try:
            count += _in_lines(file, person)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise TokenweirError(f"{file} cannot be written anew: {error.strerror}") from error
    return count


def _in_lines(path: Path, person: Person) -> int:
    new, count = path.with_name(f"{path.name}.new"), 0
    new.unlink(missing_ok=True)
    lines = LinesFile(new)
    gathered: list[bytes] = []
    with open(path, "rb") as file:
        for line in file:
            other = _forgotten_in(line, person)
            count += other is not None
            gathered.append((other or line).rstrip(b"\n"))
            if len(gathered) == _LINES:
                lines.append(gathered)
                gathered = []
    if count:
        lines.append(gathered)
        new.replace(path)
    lines.close()
    new.unlink(missing_ok=True)
    return count


def _forgotten_in(line: bytes, person: Person) -> bytes | None:
    """An event as it may stay, in its envelope if it has one; None if it is not about them."""
    try:
        event = msgspec.json.decode(line)
        record = event["data"] if "specversion" in event else event
        if record.get(person.column) not in person.names:
            return None
    except (msgspec.DecodeError, TypeError, KeyError, AttributeError):
        return None
    for name, value in {**person.forgotten, **dict.fromkeys(CONTENTS)}.items():
        record.pop(name, None)
        if value is not None:
            record[name] = value
    return msgspec.json.encode(event)


def _in_letters(sink: SinkSettings, person: Person, clock: Clock, again: list[str]) -> int:
    """How many were removed: their calls are in the ledger."""
    store = letters_of(sink, clock)
    try:
        return remove_letters(store, lambda line: _is_letter_about(line, person))
    except (DeliveryError, OSError) as error:
        again.append(f"dead letters of sink {sink.name} in {store.where} could not be looked at: {error}")
        return 0
    finally:
        store.close()


def _is_letter_about(line: bytes, person: Person) -> bool:
    """Whatever shape its event has: a letter in which the name stands goes."""
    try:
        event = msgspec.json.decode(line, type=DeadLetter).event_bytes
    except msgspec.DecodeError:
        return False
    return any(msgspec.json.encode(name) in event for name in person.names)


def _elsewhere(config: Config, person: Person) -> Iterator[str]:
    for sink in config.sinks:
        if not _is_read_here(sink):
            yield f"sink {sink.name} ({sink.kind}): what was sent there, or is written in another shape"
        if sink.large_events is not None:
            yield f"sink {sink.name}: events in {sink.large_events} that were too large for it, by the ids of the calls"
    if config.intake != type(config.intake)():
        yield f"dead letters of [intake] in {config.intake.dead_letters}: messages that could not be read"
    if person.column == "caller" and _has_keys(config, person):
        yield "its keys: they are still known by its name; `tokenweir keys revoke`, or take it out of [[callers]]"
    yield "backups of the ledger and of the journal, and the logs of clients, proxies and the upstream"


def _has_keys(config: Config, person: Person) -> bool:
    stored = {key.caller for key in read_keys(Path(config.server.keys))}
    return bool({*stored, *(caller.name for caller in config.callers)} & {*person.names})


def _note(audit: Path, person: Person, done: Erasure, clock: Clock, who: str) -> None:
    """Salted, so that the file tells nobody a name, and who knows the name can see that it was meant."""
    salt = secrets.token_hex(16)
    identity = hashlib.sha256(f"{salt}{person.names[0]}".encode()).hexdigest()
    what = {"time": clock.now(), "action": "erase", "by": who, "of": person.column, "salt": salt, "sha256": identity}
    file = LinesFile(audit)
    try:
        file.append([msgspec.json.encode(what | msgspec.structs.asdict(done))])
    except OSError as error:
        raise TokenweirError(f"it is done, but {audit} cannot be written: {error.strerror}") from error
    finally:
        file.close()
