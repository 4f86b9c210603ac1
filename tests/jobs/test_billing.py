"""Bad days of jobs: each has one record in the end, or one that says why nothing is known. Nothing here sleeps."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from jobs.conftest import JobsBench
from support.call_records import STARTED, a_call
from support.clocks import JumpingClock
from support.scripted import Line, scripted
from tokenweir.errors import JournalError
from tokenweir.jobs import Job, JobsSettings
from tokenweir.ledger import open_ledger
from tokenweir.records import CallRecord, Quantity, Usage

USAGE = {"input_tokens": 5, "output_tokens": 7, "total_tokens": 12}
DONE: dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "background": True,
    "created_at": 1790000000,
    "status": "completed",
    "model": "gpt-5",
    "usage": USAGE,
}
AT_WORK = {**DONE, "status": "in_progress", "usage": None}
BATCH: dict[str, Any] = {
    "id": "batch_1",
    "object": "batch",
    "endpoint": "/v1/chat/completions",
    "created_at": 1790000000,
    "status": "in_progress",
    "input_file_id": "file-in",
}
STORE = {"id": "vs_1", "object": "vector_store", "created_at": 1790000000, "status": "completed", "usage_bytes": 1000}

Says = Callable[[str], tuple[int, dict[str, Any] | bytes]]


def made(job: dict[str, Any] = AT_WORK, **fields: Any) -> CallRecord:
    """The record of a call that has made a job."""
    path = "/openai/v1/responses" if job["object"] == "response" else "/openai/v1/batches"
    usual: dict[str, Any] = {
        "path": path,
        "api": "responses",
        "backend": "up",
        "caller": "team-a",
        "tags": {"cost_centre": "4711"},
        "api_version": None,
    }
    record = a_call(**usual | {"deployment": None, "job_id": job["id"]} | fields)
    return replace(record, job=job, usage=Usage(reason="later"), started_at=STARTED, latency_ms=0.0)


def looked(job: dict[str, Any], **fields: Any) -> CallRecord:
    """The record of a call by somebody else that asked for it."""
    usual = {"method": "GET", "path": f"/openai/v1/responses/{job['id']}", "api": "other", "backend": "up"}
    record = a_call(**usual | {"caller": "team-b", "call_id": "looked", "job_id": job["id"]} | fields)
    return replace(record, job=job, usage=Usage())


class Upstream:
    """Says what a test tells it to, and remembers what it was asked."""

    def __init__(self) -> None:
        self.says: Says = lambda path: (200, DONE)
        self.headers = b""
        self.asked: list[str] = []

    def play(self, line: Line) -> None:
        while True:
            head = line.read_head()
            path = head.split(b" ")[1].decode()
            assert b"api-key: upstream-key\r\n" in head
            self.asked.append(path)
            status, told = self.says(path)
            body = told if isinstance(told, bytes) else json.dumps(told).encode()
            line.send(b"HTTP/1.1 %d x\r\n%bcontent-length: %d\r\n\r\n" % (status, self.headers, len(body)))
            line.send(body)


@pytest.fixture
def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
def new_bench(upstream: Upstream, tmp_path: Path) -> Iterator[Callable[..., JobsBench]]:
    with ExitStack() as stack:
        url = stack.enter_context(scripted(upstream.play)).url

        def new(name: str = "books", url: str = url, **settings: Any) -> JobsBench:
            bench = JobsBench(tmp_path / name, url, JumpingClock(STARTED), JobsSettings(**settings), "up")
            stack.callback(bench.stop)
            return bench

        yield new


@pytest.fixture
def bench(new_bench: Callable[..., JobsBench]) -> JobsBench:
    return new_bench()


def in_a_ledger(*records: CallRecord) -> list[dict[str, Any]]:
    """What is kept of records that may have come twice."""
    ledger = open_ledger("duckdb::memory:")
    for record in records:
        ledger.post([record], "somewhere", None)
    calls = ledger.calls()
    ledger.close()
    return calls


def test_two_who_see_the_end_at_the_same_time_see_one_job(bench: JobsBench, upstream: Upstream) -> None:
    bench.watch.take([made(), looked(DONE), looked(DONE, call_id="too")])
    bench.watch.take([looked(DONE, call_id="and again")])
    (billed,) = bench.look(3600)
    assert (billed.caller, billed.usage.total_tokens, billed.tags) == ("team-a", 12, {"cost_centre": "4711"})
    assert billed.job is not None
    assert (billed.job["made_by"], billed.job["seen_by"]) == (made().call_id, "looked")
    assert upstream.asked == []


def test_the_end_may_be_read_before_the_call_that_made_it(bench: JobsBench) -> None:
    bench.watch.take([looked(DONE)])
    assert bench.look(60) == []
    bench.watch.take([made()])
    (billed,) = bench.look()
    assert (billed.caller, billed.usage.total_tokens) == ("team-a", 12)


def test_what_was_made_elsewhere_is_nobodys(bench: JobsBench, upstream: Upstream) -> None:
    bench.watch.take([looked(DONE)])
    assert bench.look(86400) == []
    assert upstream.asked == []


def test_questions_come_less_often_as_a_job_grows_old(bench: JobsBench, upstream: Upstream) -> None:
    upstream.says = lambda path: (200, AT_WORK)
    bench.watch.take([made()])
    waits = []
    for _ in range(40):
        bench.look()
        (job,) = bench.table.open()
        assert job.next_at is not None
        waits.append((job.next_at - bench.clock.now()).total_seconds())
        bench.clock.jump(waits[-1])
    assert waits[0] == pytest.approx(10, abs=10)
    assert waits == sorted(waits)
    assert waits[-1] == 900
    assert len(upstream.asked) == 39
    upstream.says = lambda path: (200, DONE)
    (billed,) = bench.look()
    assert billed.usage.total_tokens == 12


def test_the_time_of_the_usage_is_the_upstreams_where_it_says_so(bench: JobsBench, upstream: Upstream) -> None:
    upstream.says = lambda path: (200, {**DONE, "completed_at": 1790000100})
    bench.watch.take([made()])
    (billed,) = bench.look(3600)
    assert billed.started_at.timestamp() == 1790000100
    assert billed.job is not None
    assert billed.job["created_at"] == 1790000000
    assert billed.latency_ms == 0


@pytest.mark.parametrize("killed", ["after asking", "after recording"])
def test_books_that_are_killed_bill_once(
    bench: JobsBench, upstream: Upstream, killed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.watch.take([made()])
    bench.clock.jump(10)
    bench.log.dies = killed == "after asking"

    def die(*_: object) -> None:
        raise JournalError("killed")

    with monkeypatch.context() as patch:
        if not bench.log.dies:
            patch.setattr(bench.table, "put", die)
        with pytest.raises(JournalError):
            bench.turn()
    bench.restart()
    assert len(upstream.asked) == 1
    records = bench.look()
    assert len(upstream.asked) == 2
    assert len(records) == (1 if killed == "after asking" else 2)
    assert len({record.call_id for record in records}) == 1
    (kept,) = in_a_ledger(*records)
    assert kept["total_tokens"] == 12
    assert list(bench.table.open()) == []


def test_a_restart_forgets_no_job_and_reads_old_records_without_harm(bench: JobsBench, upstream: Upstream) -> None:
    upstream.says = lambda path: (200, AT_WORK)
    bench.watch.take([made()])
    bench.look(10)
    bench.restart()
    bench.watch.take([made()])
    upstream.says = lambda path: (200, DONE)
    (billed,) = bench.look(3600)
    bench.restart()
    bench.watch.take([made(), looked(DONE), billed])
    assert bench.look(3600) == [billed]


def test_several_gateways_write_the_same_record(new_bench: Callable[..., JobsBench]) -> None:
    records = []
    for name in ("one", "two"):
        bench = new_bench(name)
        bench.watch.take([made()])
        records += bench.look(10)
    assert len(records) == 2
    assert len(in_a_ledger(*records)) == 1


def test_the_same_id_at_another_resource_is_another_job(
    new_bench: Callable[..., JobsBench], upstream: Upstream
) -> None:
    here = new_bench("here")
    with scripted(upstream.play) as other:
        there = new_bench("there", other.url)
        for bench in (here, there):
            bench.watch.take([made()])
        assert len(in_a_ledger(*here.look(10), *there.look(10))) == 2
        there.stop()


@pytest.mark.parametrize("status", [404, 410])
def test_a_job_that_its_upstream_does_not_know_is_given_up_with_the_reason(
    bench: JobsBench, upstream: Upstream, status: int
) -> None:
    upstream.says = lambda path: (status, {"error": {"code": "not_found"}})
    bench.watch.take([made()])
    assert bench.look(10) == bench.look(30) == []
    (given_up,) = bench.look(60)
    assert (given_up.usage, given_up.error_code) == (Usage(reason="given_up"), "given_up")
    assert given_up.job is not None
    assert str(status) in given_up.job["gave_up"]
    assert bench.look(86400) == [given_up]

    bench.watch.take([looked(DONE)])
    _, billed = bench.look()
    assert billed.usage.total_tokens == 12
    assert len(in_a_ledger(given_up, billed)) == 2


def test_an_upstream_that_is_ill_is_asked_again_when_it_says_so(bench: JobsBench, upstream: Upstream) -> None:
    upstream.says = lambda path: (429, {})
    upstream.headers = b"retry-after: 1800\r\n"
    bench.watch.take([made()])
    assert bench.look(10) == []
    (job,) = bench.table.open()
    assert (job.last_error, job.failures) == ("upstream up answers 429", 1)
    upstream.says, upstream.headers = lambda path: (200, DONE), b""
    assert bench.look(1700) == []
    (billed,) = bench.look(100)
    assert billed.usage.total_tokens == 12


def test_a_job_that_never_ends_is_given_up_when_it_is_too_old(bench: JobsBench, upstream: Upstream) -> None:
    upstream.says = lambda path: (200, AT_WORK)
    bench.watch.take([made()])
    bench.look(34 * 86400)
    (given_up,) = bench.look(2 * 86400)
    assert given_up.usage == Usage(reason="given_up")
    assert given_up.job is not None
    assert "in_progress" in given_up.job["gave_up"]


@pytest.mark.parametrize(
    ("path", "version", "asked"),
    [
        ("/openai/v1/responses", None, "/openai/v1/responses/resp_1"),
        ("/v1/responses", "preview", "/openai/v1/responses/resp_1?api-version=preview"),
        ("/api/openai/responses", "2025-04-01-preview", "/openai/responses/resp_1?api-version=2025-04-01-preview"),
        ("/openai/responses", None, "/openai/responses/resp_1?api-version=2024-10-21"),
        ("/api/projects/p/openai/v1/responses", None, "/api/projects/p/openai/v1/responses/resp_1"),
    ],
)
def test_a_job_is_asked_for_by_the_api_that_made_it(
    bench: JobsBench, upstream: Upstream, path: str, version: str | None, asked: str
) -> None:
    bench.watch.take([made(path=path, api_version=version)])
    bench.look(10)
    assert upstream.asked == [asked]


def test_an_answer_about_something_else_bills_nothing(bench: JobsBench, upstream: Upstream) -> None:
    upstream.says = lambda path: (200, {**DONE, "id": "resp_2"})
    bench.watch.take([made()])
    assert bench.look(10) == []
    (job,) = bench.table.open()
    assert job.last_error == "the upstream's answer does not tell of this job"


def test_an_odd_id_is_one_segment_of_a_path(bench: JobsBench, upstream: Upstream) -> None:
    odd = "resp_/../x\r\nhost: elsewhere\r\n\r\n?ü"
    upstream.says = lambda path: (200, {**DONE, "id": odd})
    bench.watch.take([made({**AT_WORK, "id": odd})])
    (billed,) = bench.look(10)
    assert billed.job_id == odd
    assert upstream.asked == ["/openai/v1/responses/resp_%2f..%2fx%0d%0ahost%3a%20elsewhere%0d%0a%0d%0a%3f%c3%bc"]


def test_where_the_books_may_not_ask_only_what_callers_see_is_billed(
    new_bench: Callable[..., JobsBench], upstream: Upstream
) -> None:
    bench = new_bench(ask=False)
    bench.watch.take([made()])
    assert bench.look(3600) == []
    bench.watch.take([looked(DONE)])
    (billed,) = bench.look()
    assert billed.usage.total_tokens == 12
    assert upstream.asked == []


def test_an_expired_batch_is_billed_for_what_has_run(bench: JobsBench, upstream: Upstream) -> None:
    line = {"response": {"status_code": 200, "body": {"model": "gpt-4o", "usage": {"prompt_tokens": 3}}}}
    failed = {"response": {"status_code": 400, "body": {"error": {}}}}
    output = b"\n".join(json.dumps(one).encode() for one in (line, failed, line)) + b"\n"

    def says(path: str) -> tuple[int, dict[str, Any] | bytes]:
        if path.endswith("/file-in/content"):
            return 200, b'{"body": {"model": "my-batch"}}\n' + b"x" * 5_000_000
        if path.endswith("/content"):
            return 200, output
        return 200, {**BATCH, "status": "expired", "output_file_id": "file-out", "expired_at": 1790086400}

    upstream.says = says
    bench.watch.take([made(BATCH)])
    (billed,) = bench.look(86400)
    assert (billed.usage.input_tokens, billed.service_tier) == (6, "batch")
    assert (billed.deployment, billed.response_model) == ("my-batch", "gpt-4o")


def test_a_batch_of_which_nothing_has_run_has_used_nothing(bench: JobsBench, upstream: Upstream) -> None:
    said = {**BATCH, "status": "failed", "request_counts": {"total": 0, "completed": 0, "failed": 0}}
    upstream.says = lambda path: (404, b"") if "files" in path else (200, said)
    bench.watch.take([made(BATCH)])
    (billed,) = bench.look(86400)
    assert billed.usage == Usage()


def test_an_output_that_cannot_be_read_is_asked_for_again_and_never_half_counted(
    bench: JobsBench, upstream: Upstream
) -> None:
    said = {**BATCH, "status": "completed", "output_file_id": "file-out"}
    upstream.says = lambda path: (200, b'{"response": {"body": {"usage"') if "content" in path else (200, said)
    bench.watch.take([made(BATCH)])
    assert bench.look(86400) == []
    (job,) = bench.table.open()
    assert job.last_error == "a line of the batch's output cannot be read"


def test_whoever_was_forgotten_stays_so_when_a_job_is_billed(bench: JobsBench, upstream: Upstream) -> None:
    upstream.says = lambda path: (200, AT_WORK)
    bench.watch.take([made()])
    bench.look(10)
    assert bench.table.rewrite(lambda record: replace(record, caller="erased-1")) == 1
    upstream.says = lambda path: (200, DONE)
    bench.look(20)
    bench.watch.take([made()])
    (billed,) = bench.look(3600)
    assert billed.caller == "erased-1"
    assert bench.table.rewrite(lambda record: record) == 0


def test_a_vector_store_has_a_record_for_each_day_until_it_is_removed(bench: JobsBench, upstream: Upstream) -> None:
    upstream.says = lambda path: (200, STORE)
    bench.watch.take([made(STORE)])
    assert bench.look(3600) == []
    assert len(bench.look(86400)) == 1
    days = bench.look(3 * 86400)
    assert [day.started_at for day in days] == [STARTED.replace(day=STARTED.day + n) for n in range(4)]
    assert len({day.call_id for day in days}) == 4
    assert [day.usage.quantities for day in days] == [{"byte_days": Quantity(1000, "derived")}] * 4
    upstream.says = lambda path: (404, b"")
    for _ in range(4):
        bench.look(86400)
    assert len(bench.billed()) == 4
    assert list(bench.table.open()) == []


def test_a_vector_store_that_is_old_is_not_given_up_for_one_bad_answer(bench: JobsBench, upstream: Upstream) -> None:
    upstream.says = lambda path: (200, STORE)
    bench.watch.take([made(STORE)])
    for _ in range(40):
        bench.look(86400)
    upstream.says = lambda path: (500, b"")
    assert len(bench.look(86400)) == 40
    upstream.says = lambda path: (200, STORE)
    assert len(bench.look(3600)) == 41


def test_an_end_that_is_seen_while_it_is_asked_for_is_not_forgotten(bench: JobsBench, upstream: Upstream) -> None:
    """The upstream tells us that it is at work, then a caller that it is done, and the caller deletes it."""

    def says(path: str) -> tuple[int, dict[str, Any]]:
        bench.watch.take([looked(DONE)])
        upstream.says = lambda path: (404, {})
        return 200, AT_WORK

    upstream.says = says
    bench.watch.take([made()])
    assert bench.look(10) == []
    (billed,) = bench.look()
    assert billed.usage.total_tokens == 12
    assert len(upstream.asked) == 1


@pytest.mark.parametrize("odd", [{"status": ["completed"]}, {"object": []}, {"id": 7}, {"created_at": "yesterday"}, {}])
def test_odd_records_of_others_do_not_stop_the_watch(bench: JobsBench, odd: dict[str, Any]) -> None:
    said = {**DONE, "usage": None, **odd} if odd else {}
    bench.watch.take([replace(looked(DONE), job=said), made()])
    bench.watch.take([replace(made(), job={**AT_WORK, **odd})])
    assert bench.look(60)[-1].usage.total_tokens == 12


def test_a_defect_in_one_job_holds_up_no_other(
    bench: JobsBench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ask = bench.biller._ask

    async def defective(job: Job, record: CallRecord) -> dict[str, Any]:
        if job.key.id == "resp_0":
            raise KeyError("of ours")
        return await ask(job, record)

    monkeypatch.setattr(bench.biller, "_ask", defective)
    bench.watch.take([made({**AT_WORK, "id": "resp_0"}), made()])
    (billed,) = bench.look(10)
    assert billed.job_id == "resp_1"
    assert "response resp_0 could not be looked at: KeyError" in caplog.text
