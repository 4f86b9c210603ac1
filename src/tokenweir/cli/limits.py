"""``tokenweir limits``: what is used and what is left of each limit, and other amounts for a while."""

from typing import Annotated

import typer

from .app import new_group
from .params import ConfigOption, FormatOption, load_config

__all__ = ["limits"]

limits = new_group("Show what is used and left of limits, and change one for a while.")


@limits.command()
def show(file: ConfigOption = None, format: FormatOption = "table") -> None:
    """Show every limit: how much there is, is used and is left, when it begins anew, and what overrides it."""
    from ..records import SystemClock
    from ..serve.limit_report import limit_states
    from .hints import say_if_empty
    from .output import print_rows

    states = limit_states(load_config(file, checked=False).config, SystemClock())
    columns = ["limit", "setting", "counted_for", "amount", "used", "left", "ends_at", "override"]
    rows = [
        [
            *(getattr(state, column) for column in columns[:-1]),
            f"until {state.override.until:%Y-%m-%d %H:%M} UTC: {state.override.reason}" if state.override else None,
        ]
        for state in states
    ]
    print_rows(columns, rows, format)
    say_if_empty(states, format, "no limit is configured; docs/guides/limits.md says how")


@limits.command()
def override(
    limit: Annotated[str, typer.Argument(metavar="LIMIT", help="As `show` calls it, like `caller team-a`.")],
    setting: Annotated[str, typer.Argument(metavar="SETTING", help="Of that limit, like `tokens_per_month`.")],
    amount: Annotated[str, typer.Argument(metavar="AMOUNT", help="As it is configured: 80000000, or '600 EUR'.")],
    until: Annotated[str, typer.Option(metavar="WHEN", help="Until when: 90m, 24h, 7d, or a time like 2026-12-01.")],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; it is kept in the log of overrides.")],
    file: ConfigOption = None,
) -> None:
    """Give a limit another amount for a while. Relays take it within seconds; it ends by itself."""
    import getpass
    from datetime import timedelta

    from ..errors import ConfigError
    from ..pricing import Moment
    from ..records import Duration, SystemClock
    from ..serve.limit_overrides import make_override, override_paths

    config, clock = load_config(file, checked=False).config, SystemClock()
    try:
        end = clock.now() + timedelta(seconds=Duration.parse(until))
    except ValueError:
        try:
            end = Moment.parse(until)
        except ValueError as error:
            raise ConfigError("--until is a time span like 90m, 24h or 7d, or a time like 2026-12-01") from error
    made = make_override(config, limit, setting, amount, end, reason, getpass.getuser(), clock)
    typer.echo(f"{made.limit} {made.setting} is {made.amount} until {made.until:%Y-%m-%d %H:%M} UTC.")
    typer.echo(f"Relays of this gateway take it within seconds; {override_paths(config)[1]} keeps who did it and why.")
