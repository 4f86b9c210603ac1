"""What ``[[prices]]`` must be: rows of which at most one is the best for a call."""

import re
from collections.abc import Mapping

from ..pricing import known_as
from .found import Found
from .model import Config

__all__ = ["price_rows"]

_CURRENCY = re.compile(r"[A-Z]{3}")


def price_rows(config: Config, environ: Mapping[str, str]) -> Found:
    alike: dict[tuple[object, ...], int] = {}
    names: dict[str, int] = {}
    for number, row in enumerate(config.prices, start=1):
        path = ("prices", f"#{number}")
        if not row.model.strip() or "*" in row.model[:-1]:
            yield (
                (*path, "model"),
                'is a whole name like "gpt-4o-2024-11-20", or a beginning and a star: "gpt-4o*"',
            )
        if not _CURRENCY.fullmatch(row.currency):
            yield (*path, "currency"), "is three capital letters, like EUR or USD"
        if row.id is not None and not row.id.strip():
            yield (*path, "id"), "is empty; leave it out, or give the row a name"
        same = alike.setdefault(
            (row.model, row.sku, row.deployment, row.since, known_as(row.service_tier or "")), number
        )
        if same != number:
            yield (
                path,
                f"is for the same calls as #{same}; let them differ in `since`, `sku`, `deployment` or `service_tier`",
            )
        elif (owner := names.setdefault(row.name, number)) != number:
            yield (*path, "id"), f'is "{row.name}", and so is that of #{owner}; give each its own'
