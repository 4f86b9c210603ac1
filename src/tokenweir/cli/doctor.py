"""``tokenweir doctor``: what is configured, what can be reached, what is missing, and how to fix it."""

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from .params import ConfigOption

if TYPE_CHECKING:
    from .checkup import CheckResult

__all__ = ["doctor"]

_MARKS = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "bad": ("✗", "red")}


def doctor(
    file: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list instead.")] = False,
) -> None:
    """Check this machine, the configuration, the books, each upstream and each sink. Exit code 1 if anything is broken.

    Each upstream gets one cheap request with the gateway's credential; nothing is sent to a sink, and nothing is
    changed anywhere. Of a consumer's configuration, which has [intake] and no upstream: the ledger, the hub or topic,
    from which nothing is taken, and what the consumer says that runs.
    """
    import logging

    from ..config import examine
    from .checkup import check_all
    from .output import print_json

    # What libraries log on their way is said by the results, in our words.
    logging.getLogger().addHandler(logging.NullHandler())
    results: list[CheckResult] = []
    for result in check_all(examine(file, os.environ), os.environ):
        results.append(result)
        if not as_json:
            _print(result)
    if as_json:
        print_json(results)
    raise typer.Exit(1 if any(result.status == "bad" for result in results) else 0)


def _print(result: "CheckResult") -> None:
    mark, colour = _MARKS[result.status]
    typer.secho(mark, fg=colour if sys.stdout.isatty() else None, nl=False)
    print(f" {result.what}")
    if result.fix:
        print(f"  → {result.fix}")
    sys.stdout.flush()
