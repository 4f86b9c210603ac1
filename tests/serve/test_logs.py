"""Log lines: one for each event, in UTC, as text or as JSON."""

import json
import logging
import sys
from collections.abc import Iterator

import pytest

from tokenweir.errors import ConfigError
from tokenweir.serve.logs import JsonFormatter, LibraryRepeats, TextFormatter, configure_logging


@pytest.fixture(autouse=True)
def root_logger() -> Iterator[None]:
    """As it was, afterwards."""
    root = logging.getLogger()
    level, handlers, azure = root.level, root.handlers[:], logging.getLogger("azure").level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("azure").setLevel(azure)


def record(message: str, *arguments: object, failed: bool = False) -> logging.LogRecord:
    told = None
    if failed:
        try:
            raise ValueError("in vain")
        except ValueError:
            told = sys.exc_info()
    made = logging.LogRecord("tokenweir.serve", logging.WARNING, "file.py", 1, message, arguments, told)
    made.created = 1_780_000_000.123
    return made


def test_a_text_line_has_its_time_in_utc() -> None:
    line = TextFormatter("relay-0").format(record("port %s", "127.0.0.1:8080"))
    assert line == "2026-05-28T20:26:40.123Z WARNING relay-0: port 127.0.0.1:8080"


def test_a_message_of_several_lines_is_one_line() -> None:
    assert (
        TextFormatter("books").format(record("%s", "FATAL: no\nDETAIL: more")).endswith("books: FATAL: no DETAIL: more")
    )


def test_a_json_line_is_one_object_whatever_is_in_it() -> None:
    line = JsonFormatter("books").format(record('a "quoted"\nmessage \ud800', failed=True))
    assert "\n" not in line
    read = json.loads(line)
    assert read["message"].startswith('a "quoted"\nmessage')
    assert (read["time"], read["level"], read["process"]) == ("2026-05-28T20:26:40.123Z", "warning", "books")
    assert read["logger"] == "tokenweir.serve"
    assert "ValueError: in vain" in read["exception"]


@pytest.mark.parametrize(
    ("variable", "value", "choices"),
    [("TOKENWEIR_LOG", "verbose", "error, warning, info, debug"), ("TOKENWEIR_LOG_FORMAT", "xml", "text, json")],
)
def test_what_does_not_exist_is_refused(
    variable: str, value: str, choices: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError, match=f"{variable} is '{value}'; it can be {choices}"):
        configure_logging("serve")


def test_the_variables_say_how_much_and_how(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TOKENWEIR_LOG", "Warning")
    monkeypatch.setenv("TOKENWEIR_LOG_FORMAT", "json")
    configure_logging("serve")
    logging.getLogger("tokenweir").info("not this")
    logging.getLogger("tokenweir").warning("but this")
    assert [json.loads(line)["message"] for line in capsys.readouterr().err.splitlines()] == ["but this"]


def test_what_a_client_of_a_broker_repeats_is_told_once_a_minute() -> None:
    repeats = LibraryRepeats()

    def passes(name: str, message: str, created: float) -> bool:
        one = logging.makeLogRecord({"name": name, "msg": message, "created": created})
        return repeats.filter(one)

    assert [passes("aiokafka.conn", "refused", at) for at in (1000.0, 1001.0, 1059.0, 1060.0)] == [
        True,
        False,
        False,
        True,
    ]
    assert passes("aiokafka.conn", "another", 1061.0)
    assert all(passes("tokenweir.serve", "ours", 1000.0) for _ in range(3))
