"""``tokenweir jobs``: what calls have started and what is not billed yet."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from .params import ConfigOption, load_config

__all__ = ["jobs"]


def jobs(
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    file: ConfigOption = None,
) -> None:
    """List open jobs, the oldest first: background responses, batches, fine-tuning, videos, vector stores."""
    import msgspec

    from ..jobs import open_jobs
    from ..records import SystemClock
    from .hints import say_if_empty
    from .output import print_rows

    now = SystemClock().now()
    rows: list[dict[str, Any]] = [
        {
            "job": job.key.id,
            "kind": job.key.kind,
            "caller": job.made.caller if job.made else None,
            "upstream": job.made.backend if job.made else None,
            "age": (now - job.made_at).total_seconds(),
            "next_at": job.next_at,
            "asked": job.asked,
            "last_error": job.last_error,
        }
        for job in open_jobs(Path(load_config(file, checked=False).config.journal.directory))
    ]
    if json:
        for row in rows:
            print(msgspec.json.encode(row).decode())
        return
    if rows:
        names = ["next" if name == "next_at" else name.replace("_", " ") for name in rows[0]]
        print_rows(names, [[_shown(name, value, now) for name, value in row.items()] for row in rows], "table")
    say_if_empty(rows, "table", "no job is open: nothing waits to be billed later")


def _shown(name: str, value: Any, now: datetime) -> Any:
    if name == "next_at" and value is not None:
        return _duration(max(0.0, (value - now).total_seconds()))
    return _duration(value) if name == "age" else value


def _duration(seconds: float) -> str:
    """As settings are written: ``40s``, ``15m``, ``2h``, ``3d``."""
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f}{unit}"
    return f"{seconds:.0f}s"
