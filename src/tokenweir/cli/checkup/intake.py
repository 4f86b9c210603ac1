"""Whether ``tokenweir consume`` can be at work: where messages come from, where those are kept that cannot be read, and
what a consumer says that is running."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import closing

from ...config import Config
from ...delivery import DeliveryError, Denied
from ...delivery.sources import open_dead_messages, open_source
from ...errors import TokenweirError
from ...records import SystemClock
from ..admin_client import AdminClient
from .check_result import CheckResult, bad, fine, warn

__all__ = ["check_consumer", "check_intake_source"]

# Clients of brokers try for minutes, which nobody waits for here.
_SECONDS = 10.0


def check_intake_source(config: Config, environ: Mapping[str, str]) -> Iterator[CheckResult]:
    """One connection, by which nothing is taken, and what could not be read."""
    try:
        yield fine(f"intake: {asyncio.run(_probe(config, environ))}")
    except Denied as error:
        yield bad(f"intake: {error}", "correct that in [intake], or at the broker; messages wait there until then")
    except TimeoutError:
        yield bad(f"intake: no answer within {_SECONDS:g} s", _WAY)
    except DeliveryError as error:
        yield bad(f"intake: {error}", _WAY)
    except TokenweirError as error:
        yield bad(f"intake: {error}", "`tokenweir config check` shows what was read from where")
    yield from _dead_messages(config)


_WAY = "check the way there (name, port, firewall) and that it is up; messages wait there until then"


async def _probe(config: Config, environ: Mapping[str, str]) -> str:
    source = open_source(config.intake, environ, lambda name: None)
    try:
        async with asyncio.timeout(_SECONDS):
            return await source.probe()
    finally:
        await source.close()


def _dead_messages(config: Config) -> Iterator[CheckResult]:
    try:
        with closing(open_dead_messages(config.intake, SystemClock())) as messages:
            count = sum(1 for _ in messages.store.waiting())
    except (TokenweirError, OSError) as error:
        said = error.strerror if isinstance(error, OSError) else str(error)
        yield bad(f"intake: {config.intake.dead_letters} cannot be read ({said})", "change [intake] dead_letters")
        return
    if count:
        fix = "`tokenweir dead-letters list` says why; when that is mended, `tokenweir dead-letters send` sends them"
        yield warn(f"intake: {count:,} messages could not be read and are in {config.intake.dead_letters}", fix)


def check_consumer(config: Config) -> Iterator[CheckResult]:
    """What the one says that runs on this machine, where it has a port for that."""
    if config.intake.admin is None:
        yield warn(
            "consumer: whether one runs cannot be asked",
            "set [intake] admin, like 127.0.0.1:8082: /readyz and /metrics answer there",
        )
        return
    try:
        checks = AdminClient(config, config.intake.admin).readiness()
    except TokenweirError as error:
        yield warn(f"consumer: {error}", "start it with `tokenweir consume`, if it should run here")
        return
    for check in checks:
        said = f"{check['name']}: {check['message']}"
        yield (
            fine(said)
            if check["ok"]
            else bad(said, "its log has more; what it has not done comes again after a restart")
        )
