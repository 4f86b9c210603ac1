"""Two weeks of calls as an organisation makes them: several teams, models and regions, some throttled, some gone."""

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from tokenweir.records import CallRecord, Quantity, from_fields

__all__ = ["SURGE", "varied_usage"]

_START = datetime(2026, 3, 1, tzinfo=UTC)
_KEYS = {"ada": "8f14e45fceea167a", "bob": None, "eve": "c9f0f895fb98ab91", None: None}
_CENTRES = {"ada": "4711", "bob": "4712", "eve": "4711", None: None}
_REGIONS = {"sweden": "Sweden Central", "virginia": "East US 2"}
_ENDINGS: list[dict[str, Any]] = [
    {"status": 429, "outcome": "upstream_error", "error_code": "429"},
    {"status": 401, "outcome": "refused", "error_code": "unauthorized"},
    {"status": 500, "outcome": "upstream_error", "error_code": "server_error"},
    {"status": None, "outcome": "client_gone"},
    {"status": 504, "outcome": "timed_out"},
]

_QUANTITIES: list[dict[str, Quantity]] = [
    {},
    {"images": Quantity(3, "counted"), "web_searches": Quantity(2)},
    {},
    {"input_audio_seconds": Quantity(Decimal("8.47"), "derived"), "pages": Quantity(None, "unknown")},
    {},
]

SURGE = ("eve", datetime(2026, 3, 12, tzinfo=UTC))
"""Who, on one of the days, used forty times as much as on the others."""


def varied_usage(number: int = 600) -> list[CallRecord]:
    """The same records whenever it is called, half an hour apart."""
    chance = random.Random(4711)
    return [_call(chance, n) for n in range(number)]


def _call(chance: random.Random, number: int) -> CallRecord:
    started_at = _START + timedelta(minutes=33, seconds=7) * number + timedelta(microseconds=chance.randrange(10**6))
    caller = chance.choices([*_KEYS], [5, 3, 4, 1])[0]
    deployment, model = chance.choice([("chat", "gpt-4o"), ("chat-eu", "gpt-4o"), ("small", "gpt-4o-mini")])
    asked: dict[str, Any] = {
        "call_id": f"019ab000-0000-7000-8000-{number:012}",
        "started_at": started_at,
        "api": chance.choices(["chat_completions", "embeddings", "responses", "other"], [6, 2, 2, 1])[0],
        "deployment": deployment,
        "requested_model": model,
        "stream": chance.random() < 0.5,
        "caller": caller,
        "key_id": _KEYS[caller],
        "tags": {"cost_centre": centre, "env": "prod"} if (centre := _CENTRES[caller]) else {},
        "latency_ms": chance.uniform(2, 9000),
    }
    asked["path"] = f"/openai/v1/{asked['api']}"
    if number % 50 == 7:
        reason = ("unmetered", "unreadable")[number % 100 == 7]
        return from_fields(**asked, status=200, usage_reason=reason)
    if chance.random() < 0.2:
        return from_fields(**asked, **chance.choices(_ENDINGS, [5, 2, 1, 1, 1])[0])
    surge = 40 if (caller, started_at.date()) == (SURGE[0], SURGE[1].date()) else 1
    asked_for, written = (chance.randrange(1, 2000) * surge for _ in range(2))
    used: dict[str, Any] = {
        "input_tokens": asked_for,
        "output_tokens": written,
        "total_tokens": asked_for + written,
        "cached_input_tokens": asked_for * chance.choice([0, 0, 1, 3]) // 4,
        "reasoning_tokens": written // 5,
        "outcome": chance.choices(["completed", "client_gone"], [19, 1])[0],
    }
    backend = chance.choice([*_REGIONS])
    return from_fields(
        **asked,
        **used,
        quantities=_QUANTITIES[number % len(_QUANTITIES)],
        usage_source=chance.choice(["reported", "reported", "reported", "estimated"]),
        status=200,
        backend=backend,
        region=chance.choices([_REGIONS[backend], None], [9, 1])[0],
        response_model=chance.choices([f"{model}-2024-11-20", None], [9, 1])[0],
        attempts=1,
        cost=chance.choices([(asked_for + written) * Decimal("0.000002370137"), None], [9, 1])[0],
        currency="EUR" if deployment == "chat-eu" else "USD",
        first_token_ms=chance.choices([asked["latency_ms"] / 3, None], [9, 1])[0],
    )
