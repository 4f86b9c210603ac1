"""``tokenweir dead-letters``: what could never be sent, or not be read, and another try with it."""

from contextlib import closing
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ConfigError
from .app import new_group
from .params import ConfigOption, FormatOption, load_config

if TYPE_CHECKING:
    from pathlib import Path

    from ..config import Config
    from ..delivery.resending import ResendResult

__all__ = ["dead_letters"]

dead_letters = new_group("Show what could never be sent or not be read, and send it again.")

_INTAKE = "intake"

AtOption = Annotated[
    str | None,
    typer.Option(
        metavar="CONTAINER",
        show_default="where dead_letters says",
        help="The container of a meter in Azure Functions, like https://ACCOUNT.blob.core.windows.net/dead-letters.",
    ),
]


class Into(StrEnum):
    """Where messages go that can be read now."""

    ledger = "ledger"
    sinks = "sinks"


@dead_letters.command("list")
def list_letters(at: AtOption = None, file: ConfigOption = None, format: FormatOption = "table") -> None:
    """List where dead letters are, how many, since when, and the latest reason."""
    import msgspec

    from ..delivery.dead_letters import DeadLetter
    from ..delivery.shipping import letters_of
    from ..delivery.sources import open_dead_messages
    from ..records import SystemClock
    from .hints import say_if_empty
    from .output import print_rows

    config, clock = _config(file, at), SystemClock()
    stores = {sink.name: letters_of(sink, clock) for sink in config.sinks}
    stores[_INTAKE] = open_dead_messages(config.intake, clock).store
    rows = []
    for name, store in stores.items():
        count, since, reason = 0, None, ""
        with closing(store):
            for line in store.waiting():
                count += 1
                try:
                    letter = msgspec.json.decode(line, type=DeadLetter)
                except (msgspec.MsgspecError, UnicodeDecodeError):
                    reason = "a line that is no letter"
                else:
                    since, reason = since or letter.time, letter.reason
        if count:
            rows.append([name, count, since, reason, store.where])
    print_rows(["name", "letters", "since", "latest_reason", "where"], rows, format)
    say_if_empty(rows, format, "there are no dead letters")


@dead_letters.command()
def send(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="As `list` shows it: a sink's events, or `intake`: messages.")
    ],
    into: Annotated[Into, typer.Option(help="intake: where what can be read now goes.")] = Into.ledger,
    at: AtOption = None,
    file: ConfigOption = None,
) -> None:
    """Send dead letters again. What is refused again, or cannot be read, becomes a new dead letter.

    Each is sent once: a sending that is cut off goes on where it was, and only its last 200 letters may be sent twice.
    A ledger knows the calls that it has. Exit code 1 where some were refused again.
    """
    import asyncio

    config = _config(file, at)
    result = asyncio.run(_send_messages(config, into) if name == _INTAKE else _send_events(config, name))
    print(f"{result.sent:,} sent")
    if result.refused:
        typer.echo(f"{result.refused:,} refused again: `tokenweir dead-letters list` says why", err=True)
    if result.unreadable:
        typer.echo(f"{result.unreadable:,} lines hold too little to be sent again, and stay where they were", err=True)
    if result.refused or result.unreadable:
        raise typer.Exit(1)


async def _send_events(config: "Config", name: str) -> "ResendResult":
    import os

    from ..delivery.resending import resend_events
    from ..delivery.shipping import letters_of, outlet
    from ..records import SystemClock

    sink = next((sink for sink in config.sinks if sink.name == name), None)
    if sink is None:
        known = ", ".join([*(sink.name for sink in config.sinks), _INTAKE])
        raise ConfigError(f"there is no sink {name}; there are: {known}")
    destination = outlet(sink, os.environ, SystemClock())
    try:
        with closing(letters_of(sink, SystemClock())) as letters:
            return await resend_events(letters, sink.connection.events, destination)
    finally:
        await destination.close()


async def _send_messages(config: "Config", into: Into) -> "ResendResult":
    import os

    from ..config import pricer_of
    from ..delivery.resending import resend_messages
    from ..delivery.shipping import outlet
    from ..delivery.sources import open_dead_messages
    from ..ledger import open_ledger
    from ..records import SystemClock
    from ..serve.consuming import LedgerDestination, format_of

    clock, format, price = SystemClock(), format_of(config), pricer_of(config)
    if into == Into.sinks and not config.sinks:
        raise ConfigError("there are no sinks to send to; configure one, or leave out --into sinks")
    with closing(open_dead_messages(config.intake, clock)) as messages:
        if into == Into.sinks:
            destinations = [outlet(sink, os.environ, clock) for sink in config.sinks]
            try:
                return await resend_messages(messages, format, price, destinations)
            finally:
                for destination in destinations:
                    await destination.close()
        with closing(open_ledger(config.ledger.url)) as ledger:
            return await resend_messages(messages, format, price, [LedgerDestination(ledger, messages, clock)])


def _config(file: "Path | None", at: str | None) -> "Config":
    """With the sink of a meter in Azure Functions, where its variables are set and no sink is configured."""
    import os

    from msgspec.structs import replace

    from ..config.sink_variables import sink_from_insights_variables

    config = load_config(file, checked=False).config
    if not config.sinks and (sink := sink_from_insights_variables(os.environ)):
        config = replace(config, sinks=[sink])
    if at is None:
        return config
    sinks = [replace(sink, dead_letters=at) for sink in config.sinks]
    return replace(config, sinks=sinks, intake=replace(config.intake, dead_letters=at))
