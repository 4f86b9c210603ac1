"""How a consumer says how it is."""

import asyncio
from datetime import UTC, datetime

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tokenweir.admin import ConsumerStatus, create_consumer_app

SINCE = datetime(2026, 3, 10, 11, 59, tzinfo=UTC)


def ask(status: ConsumerStatus, path: str, token: str | None = None) -> httpx.Response:
    async def get() -> httpx.Response:
        transport = httpx.ASGITransport(app=create_consumer_app(lambda: status, token))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8082") as client:
            return await client.get(path)

    return asyncio.run(get())


def test_a_consumer_that_takes_records_is_ready() -> None:
    assert ask(ConsumerStatus(), "/healthz").status_code == 200
    assert ask(ConsumerStatus(), "/readyz").status_code == 200


def test_one_that_takes_nothing_says_since_when_and_why() -> None:
    failing = ConsumerStatus(failing_since=SINCE, last_error="no broker answers")
    answer = ask(failing, "/readyz")
    assert answer.status_code == 503
    (check,) = answer.json()["checks"]
    assert check["message"] == "nothing is taken since 11:59:00 UTC, and nothing is lost: no broker answers"
    assert ask(failing, "/readyz", token="t").json() == {"checks": []}
    assert ask(failing, "/metrics", token="t").status_code == 401


def test_one_whose_batch_does_not_come_back_says_since_when_and_where_to_look() -> None:
    answer = ask(ConsumerStatus(stuck_since=SINCE), "/readyz")
    assert answer.status_code == 503
    assert "is under way since 11:59:00 UTC" in answer.json()["checks"][0]["message"]
    assert "tokenweir_consumer_stuck 1.0" in ask(ConsumerStatus(stuck_since=SINCE), "/metrics").text


def test_its_metrics() -> None:
    status = ConsumerStatus(new=7, known=2, dead=1, retries=3, newest_at=SINCE, failing_since=SINCE, behind={"k/0": 4})
    families = text_string_to_metric_families(ask(status, "/metrics").text)
    told = {sample.name.removeprefix("tokenweir_consumer_"): sample.value for one in families for sample in one.samples}
    assert told == {
        "records_new_total": 7,
        "records_known_total": 2,
        "dead_letters_total": 1,
        "retries_total": 3,
        "failing": 1,
        "stuck": 0,
        "newest_timestamp_seconds": SINCE.timestamp(),
        "behind_messages": 4,
    }
