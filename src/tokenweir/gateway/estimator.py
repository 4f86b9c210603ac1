"""Usage that nobody reported is counted beside the loop."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from ..deployments import Target
from ..metering import estimate, estimate_apart
from ..records import Usage
from ..upstream import Upstream
from .request import Ending, Request

__all__ = ["Estimator"]

_log = logging.getLogger(__name__)


class Estimator:
    """Counts the tokens of calls whose usage nobody reported: in a thread, as counting is heavy."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="estimator")
        self._none_left = asyncio.Event()
        self.pending = 0

    def estimate(
        self,
        request: Request,
        ending: Ending,
        target: Target | None,
        upstream: Upstream | None,
        then: Callable[[Usage], None],
    ) -> None:
        """``then`` gets the result in the loop; the empty usage where counting failed, which is logged."""
        loop = asyncio.get_running_loop()
        reading = ending.reading
        model = (reading.response_model if reading else None) or (target.model if target else None) or request.model
        self.pending += 1
        how = {
            "ended_normally": ending.outcome == "completed",
            "azure": upstream is not None and upstream.provider.bills_end_tokens,
        }
        api = request.address.route.api
        if request.pieces is not None and request.address.surface.estimate is not None:
            future = self._pool.submit(estimate_apart, api, request.pieces, reading, model, **how)
        else:
            future = self._pool.submit(lambda: estimate(api, request.whole_body(), reading, model, **how))

        def counted(done: Future[Usage]) -> None:
            loop.call_soon_threadsafe(self._estimated, done, then)

        future.add_done_callback(counted)

    def _estimated(self, done: Future[Usage], then: Callable[[Usage], None]) -> None:
        self.pending -= 1
        error = done.exception()
        if error is not None:
            _log.error("the usage of a call could not be estimated", exc_info=error)
        then(Usage() if error is not None else done.result())
        if not self.pending:
            self._none_left.set()

    async def finish(self) -> None:
        """Returns when nothing is pending."""
        while self.pending:
            self._none_left.clear()
            await self._none_left.wait()

    def close(self) -> None:
        self._pool.shutdown()
