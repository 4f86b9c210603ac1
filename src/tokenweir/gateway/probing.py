"""Targets that could not be reached are tried by the gateway itself, so that no call has to find out by waiting."""

from ..deployments import PoolTarget
from ..errors import Refusal
from .services import Services

__all__ = ["probe_targets"]


def probe_targets(services: Services) -> None:
    """Begins to connect to each of them, once a second, unless that is under way."""
    for member in services.catalogue.out_of_reach():
        if not member.health.is_probed:
            member.health.is_probed = True
            services.tasks.start(_probe(services, member))


async def _probe(services: Services, member: PoolTarget) -> None:
    """A connection that stands is the next call's. Where there is none, the breaker stays open for another while."""
    breaker, pool = member.breaker, services.upstreams[member.target.upstream].pool
    try:
        pool.idle(await pool.connect(breaker.trip))
        breaker.close()
    except Refusal as refusal:
        breaker.open(services.clock.monotonic(), refusal.code)
    finally:
        member.health.is_probed = False
