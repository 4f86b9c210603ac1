"""A ClickHouse database behind its HTTP interface: questions, inserts, and what its errors are called here.

Answers come as JSON, which is what most of them are to become, and inserts go as JSON, which is what records are.
An error's text may quote the row that it is about, and with it a prompt. Of an insert that failed, only such texts
are passed on as are about the server; of the others, the name.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any, BinaryIO

import clickhouse_connect
import msgspec
from clickhouse_connect.driver.exceptions import Error

from ...errors import ConfigError
from ..base import LedgerError
from .address import ClickHouseAddress
from .migrations import migrate

__all__ = ["ResultSet", "ResultColumn", "Error", "ClickHouseDatabase", "explain"]

# A server that moves to another machine needs longer, and whoever posts to it comes again by himself.
_CONNECT_SECONDS = 10

_ANSWERS: dict[str, Any] = {
    "date_time_output_format": "iso",
    "output_format_json_quote_64bit_integers": 0,
    "output_format_json_quote_decimals": 1,
    "output_format_json_quote_denormals": 0,
    "output_format_decimal_trailing_zeros": 1,
    # Days before 1970 and after 2105 are days, too.
    "enable_extended_results_for_datetime_functions": 1,
}
_INSERTS: dict[str, Any] = {
    # When an insert returns, its rows are in the table; a server may be set to gather them for a while.
    "async_insert": 0,
    "date_time_input_format": "best_effort",
    "precise_float_parsing": 1,
    "input_format_skip_unknown_fields": 0,
}
# The text of a question may list the ids of a batch.
_LONG: dict[str, Any] = {"max_query_size": 1 << 30}

_UNKNOWN_TABLE, _ACCESS_DENIED = 60, 497
_ABOUT_THE_SERVER = {
    _UNKNOWN_TABLE: "unknown table",
    81: "unknown database",
    159: "took too long",
    241: "no memory",
    242: "table is read only",
    243: "no space",
    252: "too many parts",
    _ACCESS_DENIED: "access denied",
    516: "wrong password",
}
"""Codes of errors whose texts name no values."""
_NOT_ALLOWED = "its user needs CREATE TABLE, CREATE VIEW and more on the database, see docs/guides/many-relays.md"

_CODE = re.compile(r"Code: \d+\. DB::Exception: (?:Code: \d+\. DB::Exception: )*")
_TRAILER = re.compile(r"(?: \([A-Z_0-9]+\))?(?: \(version [^()]*(?:\([^()]*\))?\)\.?)?(?: \([A-Z_0-9]+\))?\s*$")
_FOR_URL = re.compile(r" \(for url \S+\)$")


class ResultColumn(msgspec.Struct, frozen=True):
    """Of an answer: its name and the server's type."""

    name: str
    type: str

    @property
    def kind(self) -> str:
        """The type without what it allows or how it is kept: ``LowCardinality(Nullable(String))`` is a ``String``."""
        kind = self.type
        for wrapper in ("LowCardinality(", "Nullable("):
            if kind.startswith(wrapper):
                kind = kind[len(wrapper) : -1]
        return kind


class ResultSet(msgspec.Struct, frozen=True):
    """Columns and rows. Cells are JSON values; decimals are text, and so are times, in ISO 8601 and UTC."""

    meta: list[ResultColumn]
    data: list[list[Any]]


_decoder = msgspec.json.Decoder(ResultSet)


class ClickHouseDatabase:
    """A database with its tables up to date. `ConfigError` where it cannot be used, `LedgerError` if it is away."""

    def __init__(self, address: ClickHouseAddress) -> None:
        self.address = address
        self.place = address.place
        if address.ca_cert is not None and not os.access(address.ca_cert, os.R_OK):
            raise ConfigError(f"ledger.url: the ca_cert {address.ca_cert} cannot be read")
        try:
            self._client = clickhouse_connect.get_client(
                host=address.host,
                port=address.port,
                interface="https" if address.is_secure else "http",
                username=address.user,
                password=address.password,
                database=address.database,
                ca_cert=address.ca_cert,
                connect_timeout=_CONNECT_SECONDS,
                client_name="tokenweir",
                # One client for all threads: without a session, questions are independent of each other.
                autogenerate_session_id=False,
                dedicated_pool=True,
            )
        except Error as error:
            raise LedgerError(f"the ledger {self.place} cannot be opened: {explain(error)}") from None
        try:
            self._prepare()
        except BaseException:
            self._client.close()
            raise

    def _prepare(self) -> None:
        if self._client.server_settings["readonly"].value != "0":
            raise ConfigError(
                f"the ledger {self.place} cannot be used: its user has the setting readonly, so questions cannot be "
                "given limits; a user who is only to read needs GRANT SELECT instead"
            )
        try:
            migrate(self, self._applied(), self._view_version())
        except Error as error:
            if error.code == _ACCESS_DENIED:
                raise ConfigError(f"the ledger {self.place} cannot be used: {explain(error)}; {_NOT_ALLOWED}") from None
            raise LedgerError(f"the ledger {self.place} cannot be opened: {explain(error)}") from None

    def _applied(self) -> int:
        try:
            return int(self.ask("SELECT max(number) FROM migrations").data[0][0])
        except Error as error:
            if error.code == _UNKNOWN_TABLE:
                return 0
            raise

    def _view_version(self) -> str | None:
        found = self.ask(
            "SELECT comment FROM system.tables WHERE database = currentDatabase() AND name = 'customEvents'"
        )
        return str(found.data[0][0]) if found.data else None

    @contextmanager
    def failing(self) -> Iterator[None]:
        """What goes wrong inside becomes a `LedgerError`."""
        try:
            yield
        except Error as error:
            raise LedgerError(f"the ledger {self.place} failed: {explain(error)}") from None

    def execute(self, statement: str, values: Mapping[str, str] | None = None) -> None:
        """A statement that has no answer; ``{name:Type}`` in it stands for a value. Raises the client's `Error`."""
        self._client.command(statement, dict(values or {}))

    def ask(
        self, statement: str, values: Mapping[str, str] | None = None, settings: Mapping[str, Any] | None = None
    ) -> ResultSet:
        """One question; ``{name:Type}`` in it stands for a value. Raises the client's `Error`."""
        answer = self._client.raw_query(
            statement, dict(values or {}), settings={**_LONG, **_ANSWERS, **(settings or {})}, fmt="JSONCompact"
        )
        try:
            return _decoder.decode(answer)
        except msgspec.DecodeError:
            raise LedgerError(f"the ledger {self.place} failed: what answers there is no ClickHouse") from None

    def ask_for_all(
        self, statement: str, settings: Mapping[str, Any], most: int
    ) -> Iterator[tuple[list[ResultColumn], list[list[Any]]]]:
        """One question whose rows are handed on as they come, up to ``most`` at once, and at least once. Raises the
        client's `Error`."""
        form = "JSONCompactEachRowWithNamesAndTypes"
        # Without the last, an error in the middle would come as one more line behind a good status.
        given = {**_LONG, **_ANSWERS, **settings, "wait_end_of_query": 1}
        with self._client.raw_stream(statement, settings=given, fmt=form) as stream:
            lines = _lines_of(stream)
            names, types = (msgspec.json.decode(next(lines), type=list[str]) for _ in range(2))
            columns = [ResultColumn(name, kind) for name, kind in zip(names, types, strict=True)]
            while True:
                rows = [msgspec.json.decode(line) for line in islice(lines, most)]
                yield columns, rows
                if len(rows) < most:
                    return

    def insert(self, table: str, lines: bytes) -> None:
        """Rows as JSON, one in a line, all or none of them. Raises `LedgerError`, which does not quote them."""
        try:
            self._client.raw_insert(table, insert_block=lines, fmt="JSONEachRow", settings=_INSERTS)
        except Error as error:
            is_harmless = error.code is None or error.code in _ABOUT_THE_SERVER
            words = explain(error) if is_harmless else f"error {error.code} ({error.name})"
            raise LedgerError(f"the ledger {self.place} failed: {words}") from None

    def copy(self, statement: str, settings: Mapping[str, Any], file: BinaryIO) -> None:
        """The answer to a question as CSV. Raises the client's `Error`."""
        with self._client.raw_stream(statement, settings=dict(settings), fmt="CSV") as stream:
            while data := stream.read(1 << 20):
                file.write(data)

    def close(self) -> None:
        self._client.close()


def _lines_of(stream: Any) -> Iterator[bytes]:
    rest = b""
    while data := stream.read(1 << 20):
        *lines, rest = (rest + data).split(b"\n")
        yield from lines
    if rest:
        yield rest


def explain(error: Error) -> str:
    """What went wrong, in the server's words or, if it could not be reached, in those of the system."""
    if error.code is None:
        return _root(error)
    text = _FOR_URL.sub("", str(error))
    return _TRAILER.sub("", _CODE.split(text)[-1]).strip().rstrip(".")


def _root(error: BaseException) -> str:
    """The innermost cause: those around it only say that they could not do their work, and quote the address."""
    while (inner := getattr(error, "reason", None) or error.__cause__ or error.__context__) is not None:
        if not isinstance(inner, BaseException):
            break
        error = inner
    return _FOR_URL.sub("", str(error)).strip() or type(error).__name__
