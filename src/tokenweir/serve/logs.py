"""How the processes log: one line for each event on stderr, in UTC.

``TOKENWEIR_LOG`` is how much (default ``info``), ``TOKENWEIR_LOG_FORMAT`` is ``text`` (default) or ``json``.
"""

import json
import logging
import os
import sys
from datetime import UTC, datetime
from typing import Any

from ..errors import ConfigError, quoted
from ..records import CallRecord

__all__ = [
    "JsonFormatter",
    "LibraryRepeats",
    "TextFormatter",
    "configure_logging",
    "log_call",
    "log_to_host",
]

_log = logging.getLogger(__name__)

_REPEAT_SECONDS = 60.0
_MOST_TEXTS = 100

LEVELS = ("error", "warning", "info", "debug")


def configure_logging(process: str) -> None:
    """Names the process in every line. Error: something was lost. Warning: we recovered. Info: start, stop, change.

    Raises:
        ConfigError: a level or a format that does not exist.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_formatter(process))
    handler.addFilter(LibraryRepeats())
    logging.basicConfig(level=_level(), handlers=[handler], force=True)
    # Azure's packages tell of every change of a connection's state. Of their troubles we tell ourselves.
    logging.getLogger("azure").setLevel(logging.ERROR)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    logging.getLogger("aiokafka").setLevel(logging.ERROR)


def log_to_host(process: str) -> None:
    """For a host that shows what its workers write, as Azure Functions does: of what is *logged* it drops everything
    that is said outside of an invocation, and a stream's end is (azure-functions-host, ``Log`` of GrpcWorkerChannel).

    What is written to stderr with "warn" or "error" in it has that level there; what is written to stdout is
    information (WorkerProcess). Raises ConfigError as ``configure_logging`` does.
    """
    usual, troubles = logging.StreamHandler(sys.stdout), logging.StreamHandler(sys.stderr)
    usual.addFilter(lambda record: record.levelno < logging.WARNING)
    troubles.setLevel(logging.WARNING)
    ours = logging.getLogger(__name__.partition(".")[0])
    ours.handlers = [usual, troubles]
    ours.propagate = False
    ours.setLevel(_level())
    for handler in ours.handlers:
        handler.setFormatter(_formatter(process))
    logging.getLogger("azure").setLevel(logging.ERROR)


def log_call(record: CallRecord) -> None:
    """One line for a call, without anything of what was asked or answered."""
    usage = record.usage
    _log.info(
        "%s %.64s by %.64s: %s %s%.64s in %.0f ms, %d + %d tokens (%s), call %s",
        record.api,
        record.deployment or "-",
        record.caller or "-",
        record.status or "-",
        record.outcome,
        f" {record.error_code}" if record.error_code else "",
        record.latency_ms,
        usage.input_tokens,
        usage.output_tokens,
        usage.source,
        record.call_id,
    )


def _level() -> str:
    return _one_of("TOKENWEIR_LOG", LEVELS, "info").upper()


def _formatter(process: str) -> logging.Formatter:
    formats = {"text": TextFormatter, "json": JsonFormatter}
    return formats[_one_of("TOKENWEIR_LOG_FORMAT", ("text", "json"), "text")](process)


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
