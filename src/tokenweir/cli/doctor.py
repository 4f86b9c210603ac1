"""``tokenweir doctor``: what is configured, what can be reached, what is missing, and how to mend it."""

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from .params import ConfigOption

if TYPE_CHECKING:
    from .checkup import Finding

__all__ = ["doctor"]

_MARKS = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "bad": ("✗", "red")}


def doctor(
    file: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list instead.")] = False,
) -> None:
    """Check this machine, the configuration, the books, each upstream and each sink. Exit code 1 if anything is broken.

    Each upstream gets one cheap request with the gateway's credential; nothing is sent to a sink, and nothing is
    changed anywhere.
    """
    from ..config import examine
    from .checkup import check_all
    from .output import print_json

    findings: list[Finding] = []
    for finding in check_all(examine(file, os.environ), os.environ):
        findings.append(finding)
        if not as_json:
            _print(finding)
    if as_json:
        print_json(findings)
    raise typer.Exit(1 if any(finding.status == "bad" for finding in findings) else 0)


def _print(finding: "Finding") -> None:
    mark, colour = _MARKS[finding.status]
    typer.secho(mark, fg=colour if sys.stdout.isatty() else None, nl=False)
    print(f" {finding.what}")
    if finding.mend:
        print(f"  → {finding.mend}")
    sys.stdout.flush()
