"""Where events are kept that can never be sent: a JSON Lines file, for a person to look at and to send by hand."""

from pathlib import Path

import msgspec

from ..records import Clock
from .errors import Rejected, Unavailable
from .json_lines import LinesFile

__all__ = ["DeadLetters"]

_encode = msgspec.json.Encoder().encode


class DeadLetters:
    """One line an event: ``time, sink, reason, call_id, properties, event``, the event as the text that it is."""

    def __init__(self, path: Path, sink: str, clock: Clock) -> None:
        self.path = path
        self._sink = sink
        self._clock = clock

    def bury(self, rejected: Rejected) -> None:
        """The events are on disk when this returns. `Unavailable` if the disk does not take them."""
        lines = [
            _encode(
                {
                    "time": self._clock.now(),
                    "sink": self._sink,
                    "reason": rejected.reason,
                    "call_id": event.call_id,
                    "properties": event.properties,
                    "event": event.body.decode(errors="replace"),
                }
            )
            for event in rejected.events
        ]
        file = LinesFile(self.path)
        try:
            file.append(lines)
        except OSError as error:
            raise Unavailable(f"{self.path} takes no dead letters: {error.strerror}") from error
        finally:
            file.close()
