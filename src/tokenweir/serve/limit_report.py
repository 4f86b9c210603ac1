"""What is used and what is left of every limit, as the holder of the truth has written it down."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from ..config import Config
from ..errors import ConfigError
from ..limits import Calendar, Limit, LimitOverride, LimitState, RateAccount
from ..limits.periods import Period
from ..records import Clock
from .limit_frames import holder_paths
from .limit_overrides import limits_in, override_paths, read_overrides, units_of

__all__ = ["limit_states"]


def limit_states(config: Config, clock: Clock) -> list[LimitState]:
    """In the order of the configuration. Raises ``ConfigError`` where the holder's truth cannot be read."""
    limits, now = limits_in(config), clock.now()
    moment = now.timestamp()
    settings = config.admission
    calendar = Calendar(settings.time_zone, settings.month_starts, settings.week_starts)
    overrides = {(one.limit, one.setting): one for one in read_overrides(override_paths(config)[0]) if one.until > now}
    used = dict(_of_redis(settings.holder, clock) if settings.holder else _of_file(holder_paths(config)[1], clock))
    states: list[LimitState] = []
    for limit in limits:
        period = calendar.period(limit.window, moment) if limit.is_quota else None
        start = f"{limit.name} {limit.setting}"
        found = {
            key[len(start) :].strip(): units
            for (key, at), units in used.items()
            if (key == start or key.startswith(f"{start} ")) and at == (period.start if period else 0)
        }
        if not found and not limit.per:
            found = {"": 0}
        for counted_for, units in sorted(found.items()):
            states.append(_state(limit, counted_for, units, overrides.get((limit.name, limit.setting)), period))
        if not found and limit.per:
            states.append(_state(limit, "nobody yet", 0, overrides.get((limit.name, limit.setting)), period))
    return states


def _state(
    limit: Limit, counted_for: str, units: int, override: LimitOverride | None, period: Period | None
) -> LimitState:
    amount = units_of(limit, override.amount) if override is not None else limit.amount
    is_told = bool(limit.window)
    return LimitState(
        limit.name,
        limit.setting,
        counted_for,
        limit.shown(amount),
        limit.shown(units) if is_told else None,
        limit.shown(max(0, amount - units)) if is_told else None,
        datetime.fromtimestamp(period.end, UTC) if period is not None else None,
        override,
    )


def _of_file(path: Path, clock: Clock) -> Iterator[tuple[tuple[str, int], int]]:
    if not path.exists():
        return
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            for key, period, given in database.execute("SELECT key, period, given FROM quotas"):
                yield (key, period), given
            for key, slots in database.execute("SELECT key, slots FROM rates"):
                account = RateAccount(msgspec.json.decode(slots, type=list[tuple[int, int]]))
                yield (key, 0), account.given(clock.monotonic(), 0)
    except sqlite3.Error as error:
        raise ConfigError(f"{path} cannot be read ({error}); the process `limits` writes it") from error


def _of_redis(url: str, clock: Clock) -> Iterator[tuple[tuple[str, int], int]]:
    try:
        import redis
    except ModuleNotFoundError as error:
        raise ConfigError("[admission] holder needs redis; run: pip install 'tokenweir[redis]'") from error
    root = "{tokenweir}"
    try:
        with redis.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5) as client:
            now = int(client.time()[0])
            for name in client.scan_iter(f"{root}q:*"):
                key, _, period = name.decode().removeprefix(f"{root}q:").rpartition(":")
                if period.isdigit():
                    yield (key, int(period)), int(client.get(name) or 0)
            for name in client.scan_iter(f"{root}r:*"):
                key = name.decode().removeprefix(f"{root}r:")
                if not key.endswith(":known"):
                    slots = client.hgetall(name)
                    yield (key, 0), sum(int(units) for slot, units in slots.items() if int(slot) >= now - 60)
    except (redis.RedisError, OSError) as error:
        raise ConfigError(f"the holder of the limits does not answer: {type(error).__name__}") from error
