"""Limits that are other ones for a while: said with an end and a reason, and kept in an audit log.

They stand in a file beside the journals, which relays look at every second. The log beside it is only ever added to.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from ..config import Config
from ..errors import ConfigError, nearest, quoted
from ..limits import Limit, LimitAmounts, LimitOverride, limits_of
from ..limits.limit import COST, NANO
from ..limits.settings import Money
from ..records import Clock

__all__ = ["OverridesWatch", "limits_in", "make_override", "override_paths", "read_overrides", "units_of"]

_LONGEST_REASON: Final = 500


def override_paths(config: Config) -> tuple[Path, Path]:
    """Those that are there, and the log of all that ever were."""
    directory = Path(config.journal.directory)
    return directory / "limit-overrides.json", directory / "limit-overrides.log"


def limits_in(config: Config) -> list[Limit]:
    return limits_of(config.callers, config.groups, config.deployments, config.limits)


def read_overrides(path: Path) -> list[LimitOverride]:
    """Also those that are over. Raises ``ConfigError`` where the file cannot be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[LimitOverride])
    except FileNotFoundError:
        return []
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(f"{path} cannot be read; restore it, or delete it and make its overrides again") from error


def make_override(
    config: Config, limit: str, setting: str, amount: str, until: datetime, reason: str, by: str, clock: Clock
) -> LimitOverride:
    """Raises ``ConfigError`` where there is no such limit, or the amount is none, or the end is past."""
    now = clock.now()
    known = [one for one in limits_in(config) if one.name == limit]
    found = next((one for one in known if one.setting == setting), None)
    if found is None:
        raise ConfigError(_explain(config, known, limit, setting))
    if until <= now:
        raise ConfigError(f"the end, {until:%Y-%m-%d %H:%M} UTC, is past; give a later one")
    if not reason.strip() or len(reason) > _LONGEST_REASON:
        raise ConfigError(f"give a reason of at most {_LONGEST_REASON} characters")
    units_of(found, amount)
    made = LimitOverride(limit, setting, amount, until, reason, by, now)
    path, log = override_paths(config)
    kept = [one for one in read_overrides(path) if (one.limit, one.setting) != (limit, setting) and one.until > now]
    path.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:  # first of all: what is in force is in the log
        file.write(msgspec.json.encode(made) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    written = path.with_suffix(".new")
    written.write_bytes(msgspec.json.format(msgspec.json.encode([*kept, made])))
    written.replace(path)
    return made


def units_of(limit: Limit, amount: str) -> int:
    """As the limit counts. Raises ``ConfigError``."""
    try:
        if limit.counts == COST:
            money = Money.parse(amount)
            if money.currency != limit.currency:
                raise ValueError(f"{quoted(amount)} is in another currency than the limit, {limit.currency}")
            return int(money.amount * NANO)
        units = int(amount.replace("_", ""))
    except ValueError as error:
        said = str(error) if limit.counts == COST else f"{quoted(amount)} is no whole number"
        raise ConfigError(said) from error
    if units < 0:
        raise ConfigError("an amount must not be negative; 0 allows nothing")
    return units


def _explain(config: Config, known: Sequence[Limit], limit: str, setting: str) -> str:
    if known:
        there = ", ".join(one.setting for one in known)
        meant = nearest(setting, LimitAmounts.__struct_fields__)
        hint = f"; did you mean `{meant}`?" if meant and meant != setting else f"; it has {there}"
        return f"the limit {quoted(limit)} has no {quoted(setting)}{hint}"
    names = sorted({one.name for one in limits_in(config)})
    meant = nearest(limit, names)
    return f"there is no limit {quoted(limit)}; " + (
        f"did you mean `{meant}`?" if meant else "`tokenweir limits show` lists them"
    )


class OverridesWatch:
    """What a relay knows of them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._known: list[LimitOverride] = []
        self._in_force: dict[str, int] = {}

    def look(self, limits: Sequence[Limit], now: datetime) -> dict[str, int]:
        """The amounts that are in force, by the limit's name and setting. A file that cannot be read changes
        nothing."""
        try:
            found = self._path.stat()
            seen = (found.st_mtime_ns, found.st_size, found.st_ino)
        except OSError:
            seen = None
        if seen != self._seen:
            try:
                self._known, self._seen = read_overrides(self._path), seen
            except ConfigError:
                pass
        if not self._known:
            return {}
        by_name = {f"{limit.name} {limit.setting}": limit for limit in limits}
        in_force: dict[str, int] = {}
        for one in self._known:
            limit = by_name.get(f"{one.limit} {one.setting}")
            if limit is not None and now < one.until:
                with suppress(ConfigError):  # the limit is in another currency than it was
                    in_force[f"{one.limit} {one.setting}"] = units_of(limit, one.amount)
        return in_force
