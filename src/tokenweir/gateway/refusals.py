"""How often upstreams refused the gateway itself: counted for the metrics, and in the log once a minute for each."""

import logging

from ..providers import AccessRefusal
from ..records import Clock

__all__ = ["Refusals"]

_log = logging.getLogger(__name__)

_SECONDS_BETWEEN = 60.0

_SAID = {
    "credential": "does not accept this gateway's credential",
    "network": "does not let this gateway's network in",
}


class Refusals:
    """One relay's, for the life of its process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.count = 0
        self._told: dict[str, tuple[float, int]] = {}
        """When the log last said it of an upstream, and how many there were then."""
        self._counts: dict[str, int] = {}
        self.errors: dict[str, dict[str, int]] = {}
        """By upstream and kind (an error's code, `429`, `4xx`, `5xx`): requests that got no good answer, also where
        another target answered the call in the end."""

    def note_error(self, upstream: str, status: int | None, code: str | None) -> None:
        kind = code or ("429" if status == 429 else f"{(status or 0) // 100}xx")
        kinds = self.errors.setdefault(upstream, {})
        kinds[kind] = kinds.get(kind, 0) + 1

    def note(self, upstream: str, status: int, refused: AccessRefusal) -> None:
        """An answer that refused us. Nothing of its text is logged: it may quote a part of the key."""
        self.count += 1
        count = self._counts[upstream] = self._counts.get(upstream, 0) + 1
        now = self._clock.monotonic()
        at, before = self._told.get(upstream, (None, 0))
        if at is not None and now - at < _SECONDS_BETWEEN:
            return
        self._told[upstream] = now, count
        code = f" {refused.code}" if refused.code else ""
        times = f", {count - before} times since this was last said" if before else ""
        _log.warning(
            "upstream %s %s (%d%s)%s; callers are not told that, but 502; see `tokenweir doctor`",
            upstream,
            _SAID[refused.what],
            status,
            code,
            times,
        )
