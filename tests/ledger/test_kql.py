"""KQL over copies: what is copied is enough, and not more than has to be."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import BinaryIO

import pytest
from hypothesis import given, settings, strategies as st

from tokenweir.errors import QueryError
from tokenweir.ledger import kql as visits_module
from tokenweir.ledger.kql import KqlOverCopies, Wanted
from tokenweir.ledger.limits import Limits
from tokenweir.ledger.queries import first_rows
from tokenweir.ledger.rows import CALL_COLUMNS

LATER = timedelta(minutes=10)

ROWS = [
    {"call_id": "one", "started_at": "2026-03-01 08:00:00", "caller": "ada"},
    {"call_id": "two", "started_at": "2026-03-02 08:00:00", "caller": '"say ""x"",\ny"'},
    {"call_id": "three", "started_at": "2026-03-03 08:00:00"},
]
"""Calls as CSV cells; two of them have a caller."""

JOINED = "calls | where deployment has 'gpt' | join kind=inner (calls | where status == 200) on caller | count"


class Origin:
    """An engine that notes what it is asked for."""

    def __init__(self) -> None:
        self.wanted: list[Wanted] = []

    def copy(self, limits: Limits, wanted: Wanted, most: int, file: BinaryIO) -> int:
        self.wanted.append(wanted)
        for row in ROWS[:most]:
            file.write((",".join(row.get(name, "") for name in wanted.columns) + "\n").encode())
        return len(ROWS[:most])


@pytest.fixture
def origin() -> Origin:
    return Origin()


@pytest.fixture
def ask(origin: Origin) -> Callable[[str], list[list[object]]]:
    visits = KqlOverCopies(origin.copy, Limits(), most_calls=3)
    return lambda text: first_rows(visits.kql(text), Limits()).rows


@pytest.mark.parametrize(
    ("kql", "columns"),
    [
        ("calls | count", {"call_id"}),
        ("calls | where caller == 'ada' | count", {"caller"}),
        ("calls | summarize count() by caller, bin(started_at, 1d)", {"caller", "started_at"}),
        ("calls | project tags.cost_centre", {"tags"}),
        (JOINED, {"deployment", "caller", "status"}),
        ("calls | top 1 by latency_ms", set(CALL_COLUMNS)),
        ("let mine = calls | where region == 'x'; mine | summarize dcount(caller)", {"region", "caller"}),
        ("calls | summarize sum(total_tokens) by caller | where sum_total_tokens > 1", {"total_tokens", "caller"}),
    ],
)
def test_only_columns_that_are_looked_at_are_copied(
    origin: Origin, ask: Callable[[str], object], kql: str, columns: set[str]
) -> None:
    ask(kql)
    assert set(origin.wanted[0].columns) == columns


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("condition", "since", "until"),
    [
        ("started_at > datetime(2026-03-02)", at("2026-03-02"), None),
        ("started_at <= datetime(2026-03-02 10:30:00.25)", None, at("2026-03-02T10:30:00.250000") + LATER),
        (
            "started_at between (datetime(2026-03-01) .. datetime(2026-03-02))",
            at("2026-03-01"),
            at("2026-03-02") + LATER,
        ),
        ("started_at > datetime(2026-03-01) and started_at > datetime(2026-03-02)", at("2026-03-02"), None),
        ("started_at > datetime(2026-03-02) and caller == 'ada'", at("2026-03-02"), None),
        ("started_at > datetime(2026-03-02) or caller == 'ada'", None, None),
        ("not(started_at > datetime(2026-03-02))", None, at("2026-03-02") + LATER),
        ("datetime(2026-03-02) < started_at", at("2026-03-02"), None),
        ("caller == \"started_at > '2026-03-02 00:00:00'::TIMESTAMP\"", None, None),
        ("started_at + 1d > datetime(2026-03-02)", None, None),
        ("true", None, None),
    ],
)
def test_only_times_that_are_looked_at_are_copied(
    origin: Origin, ask: Callable[[str], object], condition: str, since: datetime | None, until: datetime | None
) -> None:
    ask(f"calls | where {condition} | summarize count() by caller")
    [wanted] = origin.wanted
    assert (wanted.since, wanted.until) == (since, until)


@pytest.mark.parametrize("rest", ["top 2 by latency_ms", "order by user_agent asc | take 2", "take 1"])
def test_the_time_is_understood_whatever_is_done_with_the_calls(
    origin: Origin, ask: Callable[[str], object], rest: str
) -> None:
    ask(f"calls | where started_at > datetime(2026-03-02) | {rest}")
    assert origin.wanted[0].since == at("2026-03-02")


def test_two_looks_at_the_calls_copy_what_both_need(origin: Origin, ask: Callable[[str], object]) -> None:
    ask(
        "calls | where started_at > datetime(2026-03-02) | join kind=leftouter "
        "(calls | where started_at between (datetime(2026-03-01) .. datetime(2026-03-04))) on caller | count"
    )
    [wanted] = origin.wanted
    assert (wanted.since, wanted.until) == (at("2026-03-01"), None)


def test_the_last_week_is_understood(origin: Origin, ask: Callable[[str], object]) -> None:
    ask("customEvents | where timestamp > ago(7d) | count")
    since = origin.wanted[0].since
    assert since is not None
    week = datetime.now(UTC).replace(tzinfo=None) - since
    assert timedelta(days=6, hours=23) < week < timedelta(days=7, minutes=1)


@pytest.mark.parametrize("kql", ["print 1", "calls | where false", "range x from 1 to 3 step 1 | count"])
def test_nothing_is_copied_for_a_query_that_looks_at_nothing(
    origin: Origin, ask: Callable[[str], list[list[object]]], kql: str
) -> None:
    assert len(ask(kql)) in (0, 1)
    assert origin.wanted == []


def test_copies_are_what_was_copied(ask: Callable[[str], list[list[object]]]) -> None:
    assert ask("calls | where isnotempty(caller) | project call_id, caller, started_at | order by started_at asc") == [
        ["one", "ada", "2026-03-01T08:00:00.000000Z"],
        ["two", 'say "x",\ny', "2026-03-02T08:00:00.000000Z"],
    ]
    assert ask("calls | where started_at > datetime(2026-03-02 12:00) | project call_id") == [["three"]]


def quoted(text: str) -> str:
    doubled = text.replace('"', '""')
    return f'"{doubled}"'


odd_text = st.text(st.sampled_from('",\n\r\\ x;\t#') | st.characters(codec="utf-8", exclude_characters="\0"))


@given(texts=st.lists(odd_text | odd_text.map(lambda text: text * 3000), max_size=40))
@settings(max_examples=40)
def test_any_text_survives_being_copied(texts: list[str]) -> None:
    def copy(limits: Limits, wanted: Wanted, most: int, file: BinaryIO) -> int:
        assert set(wanted.columns) == {"seq", "caller"}
        for number, text in enumerate(texts):
            cells = {"seq": str(number), "caller": quoted(text)}
            file.write((",".join(cells[name] for name in wanted.columns) + "\n").encode())
        return len(texts)

    rows = first_rows(KqlOverCopies(copy, Limits()).kql("calls | order by seq asc | project caller"), Limits()).rows
    assert [text for [text] in rows] == texts


def test_more_calls_than_may_be_copied_are_refused_with_a_way_out(origin: Origin) -> None:
    visits = KqlOverCopies(origin.copy, Limits(), most_calls=2)
    with pytest.raises(QueryError, match=r"more than 2 calls.*ago\(7d\)"):
        first_rows(visits.kql("calls | count"), Limits())


def test_calls_that_do_not_fit_into_memory_are_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(visits_module._CONFIG, "memory_limit", "16MB")

    def copy(limits: Limits, wanted: Wanted, most: int, file: BinaryIO) -> int:
        for number in range(20_000):
            file.write(f"{number:01000}\n".encode())
        return 20_000

    with pytest.raises(QueryError, match="need more memory than queries may have; ask for fewer columns"):
        first_rows(KqlOverCopies(copy, Limits()).kql("calls | summarize count() by caller"), Limits())


@pytest.mark.parametrize("table", ["contents", "positions", "migrations"])
def test_other_tables_are_not_there_instead_of_empty(ask: Callable[[str], object], table: str) -> None:
    with pytest.raises(QueryError, match=f"{table} does not exist"):
        ask(f"{table} | count")


def test_a_copy_cannot_reach_outside(ask: Callable[[str], object]) -> None:
    with pytest.raises(QueryError):
        ask("externaldata (a: string) ['/etc/hostname']")
