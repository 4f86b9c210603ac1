"""Whether events can leave: what each sink needs, whether it can be reached, how far it is behind, what it buried."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

from ...config import Config
from ...delivery import DeliveryError, Denied
from ...delivery.shipping import CURSOR_PREFIX, cursor_of, letters_of
from ...delivery.sinks import SinkSettings, dead_letters_place
from ...errors import TokenweirError
from ...journal import bytes_behind, cursor_names, journal_directories
from ...records import SystemClock
from .check_result import CheckResult, bad, fine, warn
from .machine import low_space

__all__ = ["check_sinks"]

# What may be under way at any moment says nothing.
_MUCH_BYTES = 1024 * 1024


def check_sinks(config: Config, environ: Mapping[str, str]) -> Iterator[CheckResult]:
    """Each sink in turn: a connection, by which nothing is sent, and what lies on the disk for it."""
    root = Path(config.journal.directory)
    for sink in config.sinks:
        yield from _probe(sink, environ)
        yield from _backlog(sink, root)
        yield from _dead_letters(sink)
    yield from _left_behind(config, root)


def _probe(sink: SinkSettings, environ: Mapping[str, str]) -> Iterator[CheckResult]:
    name = f'sink "{sink.name}"'
    try:
        found = asyncio.run(sink.connection.probe(sink, environ))
    except Denied as error:
        yield bad(f"{name}: {error}", "correct that; the journals keep everything until then")
    except DeliveryError as error:
        hint = "check the way there (name, firewall, private endpoint) and that it is up; it is retried all the time"
        yield bad(f"{name}: {error}", hint)
    else:
        yield fine(f"{name}: {found}")
        folder = sink.connection.folder()
        if folder is not None and (low := low_space(folder)) is not None:
            yield warn(f"{name}: {folder} has {low} free", "free some space, or change connection.path")


def _backlog(sink: SinkSettings, root: Path) -> Iterator[CheckResult]:
    try:
        behind = sum(bytes_behind(directory, cursor_of(sink)) for directory in journal_directories(root))
    except (TokenweirError, OSError):
        return  # the journals' own result
    if behind > _MUCH_BYTES:
        what = f'sink "{sink.name}": {behind / _MUCH_BYTES:,.0f} MB of the journals are not sent yet'
        yield warn(what, "a gateway that runs sends them; /api/sinks says whether it can")


def _dead_letters(sink: SinkSettings) -> Iterator[CheckResult]:
    try:
        with closing(letters_of(sink, SystemClock())) as letters:
            count = sum(1 for _ in letters.waiting())
    except (TokenweirError, OSError) as error:
        said = error.strerror if isinstance(error, OSError) else str(error)
        fix = "give this user the right to read it, or change `dead_letters`"
        yield bad(f'sink "{sink.name}": {dead_letters_place(sink)} cannot be read ({said})', fix)
        return
    if count:
        fix = "`tokenweir dead-letters list` says why; when that is mended, `tokenweir dead-letters send` sends them"
        yield warn(f'sink "{sink.name}": {count:,} events could never be sent and are in {letters.where}', fix)


def _left_behind(config: Config, root: Path) -> Iterator[CheckResult]:
    """Cursors of sinks that are not configured any more: for them, no segment is ever removed."""
    known = {cursor_of(sink) for sink in config.sinks}
    try:
        directories = journal_directories(root)
        found = {name: directory for directory in directories for name in cursor_names(directory)}
    except TokenweirError:
        return
    for name, directory in sorted(found.items()):
        if name.startswith(CURSOR_PREFIX) and name not in known:
            what = (
                f'sink "{name.removeprefix(CURSOR_PREFIX)}" is not configured, and the journals keep everything for it'
            )
            yield warn(what, f"configure it again, or delete {directory.parent}/*/cursors/{name}")
