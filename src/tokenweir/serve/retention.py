"""What has been kept for its term goes: contents, traces and calls of the ledger, dead letters. Sums have no term.

``tidy`` looks about once an hour. An engine that changes rows by rewriting files does so only where there is something
to remove.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from ..config import Config
from ..delivery import DeliveryError, remove_letters
from ..delivery.dead_letters import DeadLetter
from ..delivery.shipping import letters_of
from ..ledger import Ledger
from ..records import Clock, Duration

__all__ = ["Retention"]

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 3600.0

_decode = msgspec.json.Decoder(DeadLetter).decode


class Retention:
    """For one thread at a time. ``config`` gives what is in force."""

    def __init__(self, config: Callable[[], Config], ledger: Ledger | None, clock: Clock) -> None:
        self._config = config
        self._ledger = ledger
        self._clock = clock
        self._look_at = clock.monotonic()

    def tidy(self) -> None:
        """Raises `LedgerError` where the ledger is away; then it looks again the next time."""
        if self._clock.monotonic() < self._look_at:
            return
        terms = self._config().retention
        contents, traces, calls = self._before(terms.content), self._before(terms.traces), self._before(terms.calls)
        if self._ledger is not None and (contents or traces or calls):
            count = self._ledger.expire(contents, traces, calls)
            if count:
                _log.info("%d calls, contents or traces have been kept for their term and are removed", count)
        letters = self._before(terms.dead_letters)
        if letters is not None:
            self._remove_letters(letters)
        self._look_at = self._clock.monotonic() + _LOOK_SECONDS

    def _before(self, term: Duration | None) -> datetime | None:
        return None if term is None else self._clock.now() - timedelta(seconds=term)

    def _remove_letters(self, before: datetime) -> None:
        for sink in self._config().sinks:
            store = letters_of(sink, self._clock)
            try:
                count = remove_letters(store, lambda line: _is_older(line, before))
                if count:
                    _log.info(
                        "sink %s: %d dead letters have been kept for their term and are removed", sink.name, count
                    )
            except (DeliveryError, OSError) as error:
                _log.warning("dead letters of sink %s could not be looked at, it is tried again: %s", sink.name, error)
            finally:
                store.close()


def _is_older(line: bytes, before: datetime) -> bool:
    try:
        return _decode(line).time < before
    except msgspec.DecodeError:
        return False
