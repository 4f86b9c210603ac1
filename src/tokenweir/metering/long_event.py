"""An event that is too long to be held: its facts are read as it passes. The grammar has no longest line."""

import re

from ..wire import MemberScanner, Path

__all__ = ["LongEvent"]

_EVENT_END = re.compile(rb"\r?\n\r?\n|\r\r")
_LONGEST_END = 4
_FIELD = b"data:"


class LongEvent:
    """One event, shown in pieces from its beginning on."""

    def __init__(self, facts: dict[Path, int]) -> None:
        self.scanner = MemberScanner(facts)
        self.has_ended = False
        self._end = b""  # what may be the beginning of the event's end
        self._line: bytes | None = b""  # the beginning of a line whose field is not known yet; None: it is known
        self._is_data = False

    def feed(self, raw: bytes) -> bytes:
        """Reads what belongs to the event, and returns what follows it."""
        seen = self._end + raw
        found = _EVENT_END.search(seen)
        if found is not None:
            self.has_ended = True
            self._read(seen[: found.end()])
            return seen[found.end() :]
        lines = seen.rstrip(b"\r\n")
        keep = max(len(lines), len(seen) - _LONGEST_END)
        self._read(seen[:keep])
        self._end = seen[keep:]
        return b""

    def _read(self, part: bytes) -> None:
        """Shows the scanner the data of each line, without the name of the field."""
        for line in part.splitlines(keepends=True):
            text = line
            if self._line is not None:
                text = self._line + line
                if len(text) <= len(_FIELD) and not text.endswith((b"\n", b"\r")):
                    self._line = text
                    continue
                self._is_data = text.startswith(_FIELD)
                text = text[len(_FIELD) :]
            if self._is_data:
                self.scanner.feed(text)
            self._line = b"" if line.endswith((b"\n", b"\r")) else None
