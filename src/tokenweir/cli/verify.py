"""``tokenweir verify``: whether the ledger still holds what it was given."""

from typing import TYPE_CHECKING, Annotated

import typer

from .params import ConfigOption, load_config

if TYPE_CHECKING:
    from ..ledger import Verification

__all__ = ["verify"]


def verify(
    month: Annotated[str | None, typer.Option(metavar="MONTH", help="Only one month: last, this, or 2026-10.")] = None,
    since: Annotated[str | None, typer.Option(metavar="WHEN", help="7d ago, a date, or a time. Included.")] = None,
    until: Annotated[str | None, typer.Option(metavar="WHEN", help="As --since; not included.")] = None,
    timezone: Annotated[
        str, typer.Option(metavar="ZONE", help="Whose months and days are meant, like Europe/Berlin.")
    ] = "UTC",
    head: Annotated[
        str | None, typer.Option(metavar="DIGEST", help="The digest that an earlier run printed; it has to be there.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
    file: ConfigOption = None,
) -> None:
    """Make the seals of the ledger again from its calls: say what was changed, removed or added since it was posted,
    and which records are missing. Exit code 1 if the ledger is not what it was."""
    import msgspec

    from .books_access import chosen_among, open_books

    config = load_config(file, checked=False).config
    asked = chosen_among(since, until, month, timezone, {})
    with open_books(config) as books:
        found = books.verify(asked, head)
    if json:
        print(msgspec.json.encode({"is_sound": found.is_sound} | msgspec.structs.asdict(found)).decode())
    else:
        _say(found)
    if not found.is_sound:
        raise typer.Exit(1)


def _say(found: "Verification") -> None:
    print(f"{found.calls:,} calls: {found.seals - len(found.altered):,} of {found.seals:,} seals hold")
    for one in found.altered:
        times = f"{one.first_started:%Y-%m-%d %H:%M:%S} to {one.last_started:%Y-%m-%d %H:%M:%S} UTC"
        what = (
            "one or more of them were changed"
            if one.found == one.sealed
            else f"{one.found:,} are there, so {abs(one.sealed - one.found):,} were "
            + ("removed" if one.found < one.sealed else "added")
        )
        print(f"ALTERED: {one.sealed:,} calls from {times}, posted {one.sealed_at:%Y-%m-%d %H:%M:%S} UTC: {what}")
    for digest in found.torn:
        print(f"REMOVED: the seal {digest}, with all its calls: the one after it names it")
    if not found.is_head_there:
        print("REMOVED: the seal that you noted is not there")
    if found.added:
        print(f"ADDED: {found.added:,} calls without a seal, which the books have not posted")
    for gap in found.gaps:
        print(
            f"missing: {gap.missing:,} records of {gap.replica} between its numbers {gap.first:,} and {gap.last:,}: "
            "lost before they came here, or still on their way (`tokenweir doctor`)"
        )
    for number, what in (
        (found.unsealed, "calls from before there were seals"),
        (found.expired, "seals whose calls were removed for their age"),
        (found.erased, "seals that were made anew, as somebody was forgotten; the audit file says when"),
    ):
        if number:
            print(f"not proved: {number:,} {what}")
    if found.head:
        print(f"head: {found.head}")
