"""How the processes log: one line for each event on stderr, in UTC.

``TOKENWEIR_LOG`` is how much (default ``info``), ``TOKENWEIR_LOG_FORMAT`` is ``text`` (default) or ``json``.
"""

import json
import logging
import os
from datetime import UTC, datetime
from typing import Any

from ..errors import ConfigError, quoted

__all__ = ["JsonFormatter", "LibraryRepeats", "TextFormatter", "configure_logging"]

_REPEAT_SECONDS = 60.0
_MOST_TEXTS = 100

LEVELS = ("error", "warning", "info", "debug")


def configure_logging(process: str) -> None:
    """Names the process in every line. Error: something was lost. Warning: we recovered. Info: start, stop, change.

    Raises:
        ConfigError: a level or a format that does not exist.
    """
    level = _one_of("TOKENWEIR_LOG", LEVELS, "info")
    formatter = {"text": TextFormatter, "json": JsonFormatter}[
        _one_of("TOKENWEIR_LOG_FORMAT", ("text", "json"), "text")
    ]
    handler = logging.StreamHandler()
    handler.setFormatter(formatter(process))
    handler.addFilter(LibraryRepeats())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # Azure's packages tell of every change of a connection's state. Of their troubles we tell ourselves.
    logging.getLogger("azure").setLevel(logging.ERROR)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    logging.getLogger("aiokafka").setLevel(logging.ERROR)


def _one_of(variable: str, choices: tuple[str, ...], default: str) -> str:
    given = os.environ.get(variable, "").strip().lower() or default
    if given not in choices:
        raise ConfigError(f"{variable} is {quoted(given)}; it can be {', '.join(choices)}")
    return given


class TextFormatter(logging.Formatter):
    """``2026-11-30T06:54:21.123Z INFO    relay-0: what happened``. Only a traceback has further lines."""

    def __init__(self, process: str) -> None:
        super().__init__(f"%(asctime)s %(levelname)-7s {process}: %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        return _time_of(record)

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = _in_one_line(record.message)
        return super().formatMessage(record)


class JsonFormatter(logging.Formatter):
    """A JSON object for each event: ``time``, ``level``, ``process``, ``logger``, ``message``, and ``exception``."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _time_of(record),
            "level": record.levelname.lower(),
            "process": self._process,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)  # in ASCII: half of a surrogate pair cannot be written otherwise


def _time_of(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _in_one_line(text: str) -> str:
    """What databases say often has several lines."""
    return " ".join(text.split("\n")) if "\n" in text else text


class LibraryRepeats(logging.Filter):
    """Lets through what a library says once a minute: a broker that is away is a line for each attempt."""

    def __init__(self) -> None:
        super().__init__()
        self._told: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith("aiokafka"):
            return True
        text = record.getMessage()
        if record.created - self._told.get(text, -_REPEAT_SECONDS) < _REPEAT_SECONDS:
            return False
        if len(self._told) >= _MOST_TEXTS:
            self._told.clear()
        self._told[text] = record.created
        return True
