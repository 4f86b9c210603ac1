"""``tokenweir erase``: forgets a caller or a subject."""

import getpass
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ConfigError, quoted
from .params import ConfigOption, load_config

if TYPE_CHECKING:
    from ..config import Config
    from ..ledger import Person
    from ..serve.erasing import Erasure

__all__ = ["erase"]


def erase(
    subject: Annotated[str | None, typer.Option(metavar="NAME", help="Whom a platform or a client named.")] = None,
    caller: Annotated[str | None, typer.Option(metavar="NAME", help="Who has the key.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether it is meant.")] = False,
    file: ConfigOption = None,
) -> None:
    """Remove the contents of somebody's calls, and who it was, from journal, archive, ledger and files; amounts stay.
    What lies elsewhere is told. Exit code 1 if something has to be done again later."""
    from ..ledger import Person

    if (subject is None) == (caller is None):
        raise ConfigError("say whom: --subject NAME or --caller NAME")
    person = Person.of("subject", subject) if subject is not None else Person.of("caller", caller or "")
    if not person.names[0].strip():
        raise ConfigError("the name is empty")
    config = load_config(file, checked=False).config
    if not yes:
        typer.confirm(f"This cannot be undone. Erase {person.column} {quoted(person.names[0])}?", abort=True, err=True)
    done = _erase(config, person)
    called = f"; it is called {done.pseudonym} now" if done.pseudonym and done.calls else ""
    print(
        f"erased: {done.calls:,} calls in the ledger{called}, {done.segment_records:,} records in segments, "
        f"{done.file_lines:,} lines of file sinks, {done.dead_letters:,} dead letters, {done.jobs:,} jobs"
    )
    for place in done.elsewhere:
        typer.echo(f"not from here: {place}", err=True)
    for why in done.again:
        typer.echo(f"do this again later: {why}", err=True)
    if done.again:
        raise typer.Exit(1)


def _erase(config: "Config", person: "Person") -> "Erasure":
    """By the gateway that runs with this configuration, or by ourselves where none does."""
    import msgspec

    from ..serve.erasing import Erasure
    from .admin_client import AdminClient, NoAnswer

    try:
        answer = AdminClient(config).post("/api/erase", {person.column: person.names[0]})
    except NoAnswer:
        return _erase_here(config, person)
    return msgspec.convert(answer, Erasure)


def _erase_here(config: "Config", person: "Person") -> "Erasure":
    from pathlib import Path

    from ..ledger import NO_LEDGER, open_ledger
    from ..records import SystemClock
    from ..serve.books import catch_up
    from ..serve.erasing import erase, make_segments_pass
    from ..serve.passed_segments import PassedSegments

    clock = SystemClock()
    ledger = open_ledger(config.ledger.url) if config.ledger.url != NO_LEDGER else None
    segments = PassedSegments(
        Path(config.journal.directory), lambda: config.journal, clock, has_ledger=ledger is not None
    )
    try:
        if ledger is not None:
            catch_up(config, ledger)
        make_segments_pass(config, clock, segments.tidy, lambda: None, patience=0)
        if ledger is not None:
            catch_up(config, ledger)
        segments.tidy()
        return erase(config, ledger, person, clock, getpass.getuser())
    finally:
        if ledger is not None:
            ledger.close()
