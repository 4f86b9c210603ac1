"""What the tables of limits must be. Each check names the fix."""

import re
from collections.abc import Iterator, Mapping
from typing import get_args
from zoneinfo import ZoneInfo

from ..errors import nearest, quoted
from ..limits.settings import Dimension, LimitAmounts, Money
from .model import Config
from .problems import Problems, too_small
from .setting_path import Path

__all__ = ["admission", "limits"]

_SESSION = re.compile(r"header:[A-Za-z0-9!#$%&'*+.^_`|~-]+|metadata:.+")
_HOLDER = re.compile(r"(redis|rediss|unix)://.")
_LAST_MONTH_START = 28
_DIMENSIONS = get_args(Dimension)


def admission(config: Config, environ: Mapping[str, str]) -> Problems:
    settings = config.admission
    try:
        ZoneInfo(settings.time_zone)
    except (ValueError, OSError, KeyError):
        text = f"{quoted(settings.time_zone)} is no time zone; write it like UTC or Europe/Berlin"
        yield ("admission", "time_zone"), text
    if not 1 <= settings.month_starts <= _LAST_MONTH_START:
        yield ("admission", "month_starts"), f"is a day from 1 to {_LAST_MONTH_START}, which every month has"
    yield from too_small(("admission",), settings, "bytes_per_token", "output_tokens", "relays")
    if settings.holder is not None and not _HOLDER.match(settings.holder):
        yield (
            ("admission", "holder"),
            "begins with none of redis://, rediss:// and unix://; leave it out on one machine",
        )
    for source in settings.session_from:
        if not _SESSION.fullmatch(source):
            text = f"{quoted(source)} is none: there are headers like header:x-session-id, and metadata:session_id"
            yield ("admission", "session_from"), text


def limits(config: Config, environ: Mapping[str, str]) -> Problems:
    for path, amounts in _all_amounts(config):
        for setting in LimitAmounts.__struct_fields__:
            amount = getattr(amounts, setting)
            if isinstance(amount, Money):
                yield from _currency((*path, setting), amount, config)
            elif isinstance(amount, int) and amount < 0:
                yield (*path, setting), "must not be negative; 0 allows nothing, and without it nothing is limited"
    for table in config.limits:
        path = ("limits", f'"{table.name}"')
        if table.limits == LimitAmounts():
            yield (*path, "limits"), "is empty; say how much, like { tokens_per_minute = 100000 }"
        for dimension in table.per:
            if dimension not in _DIMENSIONS:
                yield (*path, "per"), f"{quoted(dimension)} is none; there are {', '.join(_DIMENSIONS)}"
        yield from _unknown((*path, "groups"), table.groups, [one.name for one in config.groups])
        yield from _unknown((*path, "deployments"), table.deployments, [one.name for one in config.deployments])


def _unknown(path: Path, named: list[str], known: list[str]) -> Problems:
    """Names of nobody would limit nobody, and nobody would notice. Where there is no table, any name may come."""
    for name in named if known else ():
        if name not in known:
            meant = nearest(name, known)
            yield (
                path,
                f"{quoted(name)} is none; " + (f"did you mean `{meant}`?" if meant else "there is no such table"),
            )


def _currency(path: Path, amount: Money, config: Config) -> Problems:
    """Without a price in it, nothing would ever cost anything."""
    currencies = sorted({row.currency for row in config.prices})
    if not currencies:
        yield path, "limits money, and there are no [[prices]]; add what calls cost, or limit tokens"
    elif currencies != [amount.currency]:
        yield (
            path,
            f"is in {amount.currency}, and [[prices]] are in {' and '.join(currencies)}; a limit needs one currency",
        )


def _all_amounts(config: Config) -> Iterator[tuple[Path, LimitAmounts]]:
    for table, owners in (
        ("callers", config.callers),
        ("groups", config.groups),
        ("deployments", config.deployments),
        ("limits", config.limits),
    ):
        for owner in owners:
            yield (table, f'"{owner.name}"', "limits"), owner.limits
