"""How the processes log: one line for each event on stderr, in UTC.

``TOKENWEIR_LOG`` is how much (default ``info``), ``TOKENWEIR_LOG_FORMAT`` is ``text`` (default) or ``json``.
"""

import json
import logging
import os
from datetime import UTC, datetime
from typing import Any

from ..errors import ConfigError, quoted

__all__ = ["JsonFormatter", "TextFormatter", "configure_logging", "quiet_libraries"]

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
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # Azure's packages tell of every change of a connection's state. Of their troubles we tell ourselves.
    logging.getLogger("azure").setLevel(logging.ERROR)


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


def quiet_libraries() -> None:
    """A broker that is away is an error line of its client's for each attempt; the delivery loop says it once."""
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
