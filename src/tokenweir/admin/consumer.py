"""The port of ``tokenweir consume``: health and metrics of one consumer."""

from collections.abc import Callable
from datetime import datetime

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .guard import Guard, is_stranger
from .health import Check
from .responses import ERROR_HANDLERS, json_response

__all__ = ["ConsumerStatus", "create_consumer_app"]


class ConsumerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a consumer is doing, since its start or its last reload."""

    new: int = 0
    """Records that were not in the ledger before."""
    known: int = 0
    dead: int = 0
    """Messages that became no record and are in the dead letters."""
    retries: int = 0
    newest_at: datetime | None = None
    """When the newest call began that was posted."""
    failing_since: datetime | None = None
    stuck_since: datetime | None = None
    """When the batch was begun that does not come back."""
    last_error: str | None = None
    behind: dict[str, int] = {}
    """Messages of each partition that are not in the ledger yet, where the broker tells."""


def create_consumer_app(status: Callable[[], ConsumerStatus], token: str | None) -> Starlette:
    """``/healthz``, ``/readyz`` and ``/metrics``, guarded like a gateway's admin port."""
    registry = CollectorRegistry()
    registry.register(_ConsumerCollector(status))

    async def healthz(request: Request) -> Response:
        return json_response({"status": "ok"})

    async def readyz(request: Request) -> Response:
        check = _check(status())
        checks = [] if is_stranger(request.scope) else [check]
        return json_response({"checks": checks}, 200 if check.ok else 503)

    async def metrics(request: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    routes = [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)]
    return Starlette(routes=routes, middleware=[Middleware(Guard, token=token)], exception_handlers=ERROR_HANDLERS)


def _check(now: ConsumerStatus) -> Check:
    if now.failing_since is not None:
        since = f"{now.failing_since:%H:%M:%S} UTC"
        return Check("consume", False, f"nothing is taken since {since}, and nothing is lost: {now.last_error}")
    if now.stuck_since is not None:
        since = f"{now.stuck_since:%H:%M:%S} UTC"
        what = f"a batch is under way since {since} and does not come back, and nothing is lost"
        return Check("consume", False, f"{what}: look for locks in the ledger's database, then start this one again")
    return Check("consume", True, "ok")


class _ConsumerCollector(Collector):
    def __init__(self, status: Callable[[], ConsumerStatus]) -> None:
        self._status = status

    def collect(self) -> list[Metric]:
        now = self._status()
        behind = GaugeMetricFamily(
            "tokenweir_consumer_behind_messages", "Messages that are not in the ledger yet.", labels=["partition"]
        )
        for partition, count in now.behind.items():
            behind.add_metric([partition], count)
        newest = now.newest_at.timestamp() if now.newest_at is not None else 0
        return [
            CounterMetricFamily("tokenweir_consumer_records_new", "Records that were not in the ledger.", now.new),
            CounterMetricFamily("tokenweir_consumer_records_known", "Records that were.", now.known),
            CounterMetricFamily("tokenweir_consumer_dead_letters", "Messages that became no record.", now.dead),
            CounterMetricFamily(
                "tokenweir_consumer_retries", "Times that something had to be tried again.", now.retries
            ),
            GaugeMetricFamily("tokenweir_consumer_failing", "Whether nothing is taken.", now.failing_since is not None),
            GaugeMetricFamily(
                "tokenweir_consumer_stuck", "Whether a batch does not come back.", now.stuck_since is not None
            ),
            GaugeMetricFamily("tokenweir_consumer_newest_timestamp_seconds", "When the newest call began.", newest),
            behind,
        ]
