"""Writes what an installation of this version leaves on disk, and what is in it, to ``fixtures/VERSION``.

    python -m tests.upgrade.make_fixtures          (in a checkout of the version; the fixtures say which it was)

Run once for each format that was in use. Fixtures are never made again: they stand for files that are out there.
"""

import asyncio
import gzip
import json
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args
from unittest import mock

import duckdb
import msgspec
import trustme

from tokenweir import __version__
from tokenweir.config.coercion import chosen_by, fields, item_of
from tokenweir.config.model import Config
from tokenweir.delivery import BrokerMessage, Rejected
from tokenweir.delivery.base import DeadMessage
from tokenweir.delivery.dead_letters import DeadEvents, DeadMessages
from tokenweir.delivery.letter_files import LetterFile
from tokenweir.delivery.sinks import FileConnection, SinkSettings
from tokenweir.delivery.sinks.formats import fit_json
from tokenweir.journal import Journal, JournalReader, JournalSettings, save_cursor
from tokenweir.journal.segment import frame
from tokenweir.ledger import open_ledger
from tokenweir.policy import add_key, read_keys, revoke_key
from tokenweir.records import (
    CallRecord,
    Outcome,
    Size,
    Trace,
    TracedAttempt,
    TracedTarget,
    TraceReason,
    UsageReason,
    UsageSource,
)

HERE = Path(__file__).parent
NOW = datetime(2026, 11, 30, 9, 0, 0, 123456, tzinfo=UTC)


class Clock:
    """A second passes each time that somebody asks for the time of day."""

    def __init__(self) -> None:
        self._now = NOW

    def now(self) -> datetime:
        self._now += timedelta(seconds=1)
        return self._now

    def monotonic(self) -> float:
        return 0.0


def a_call(number: int, **said: Any) -> CallRecord:
    call_id = f"019ad000-0000-7000-8000-{number:012x}"
    return CallRecord(call_id=call_id, started_at=NOW + timedelta(minutes=number, microseconds=7), **said)


TRACE = Trace(
    reasons=list(get_args(TraceReason)),
    request_headers=[("host", "gateway.example"), ("api-key", "***")],
    body_ms=0.5,
    targets=[TracedTarget("sweden", "gpt-4o-ptu", "ptu"), TracedTarget("france")],
    attempts=[
        TracedAttempt(0, 1.25, 2.5, 3.0, 40.0, 429, "rate_limited", [("retry-after", "7"), ("x-other", "***")]),
        TracedAttempt(1, 41.0, sent_ms=42.0),
    ],
    arrivals=[(100.0, 512), (101.5, 2048)],
    arrivals_left_out=12,
)

FULL = {
    "api": "chat_completions",
    "operation": "chat",
    "method": "POST",
    "path": "/openai/deployments/gpt-4o/chat/completions",
    "api_version": "2024-10-21",
    "deployment": "gpt-4o",
    "requested_model": "gpt-4o",
    "requested_service_tier": "auto",
    "stream": True,
    "caller": "team-a",
    "key_id": "key_0a1b2c3d",
    "subject": "ada@example.com",
    "tags": {"cost_centre": "4711", "größe": "klein", "a/b~c": ""},
    "client_address": "2001:db8::7",
    "user_agent": "AzureOpenAI/Python 1.99.0",
    "backend": "sweden",
    "region": "Sweden Central",
    "sku": "ptu",
    "served_deployment": "gpt-4o-ptu",
    "spillover_from": "gpt-4o-ptu",
    "service_tier": "priority",
    "response_model": "gpt-4o-2024-11-20",
    "upstream_request_id": "6f1e1bb3-0000-4000-8000-000000000001",
    "response_id": "chatcmpl-1",
    "session_id": "sess_1",
    "job_id": "batch_1",
    "attempts": 2,
    "status": 200,
    "error_code": "content_filter",
    "finish_reasons": ["stop", "length"],
    "content_filter": "hate:medium",
    "usage_source": "reported",
    "usage_reason": "withheld",
    "input_tokens": 1000,
    "cached_input_tokens": 600,
    "cache_write_tokens": 50,
    "cached_audio_tokens": 10,
    "cached_image_tokens": 20,
    "output_tokens": 400,
    "reasoning_tokens": 100,
    "input_audio_tokens": 30,
    "output_audio_tokens": 40,
    "input_image_tokens": 60,
    "output_image_tokens": 70,
    "accepted_prediction_tokens": 8,
    "rejected_prediction_tokens": 9,
    "total_tokens": 1400,
    "usage": {"prompt_tokens": 1000, "prompt_tokens_details": {"cached_tokens": 600}, "new": [1, 2.5, None, True, "ä"]},
    "tool_usage": {"image_gen": {"input_tokens": 5, "output_tokens": 6}, "web_search": {"num_requests": 2}},
    "tool_calls": {"web_search_call": 2, "code_interpreter_call": 1},
    "cost": Decimal("0.012345678901"),
    "currency": "EUR",
    "price_id": "gpt-4o@2026-11-01",
    "cost_reason": "no price for cache_write",
    "first_byte_ms": 120.5,
    "first_token_ms": 130.25,
    "stream_ms": 900.125,
    "latency_ms": 1020.625,
    "gateway_ms": 0.75,
    "chunks": 69,
    "bytes_in": 1234,
    "bytes_out": 56789,
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "request_body": '{"model": "gpt-4o", "messages": [{"role": "user", "content": "Grüß Gott \\ud83d\\ude00"}]}',
    "response_body": 'data: {"choices": []}\n\ndata: [DONE]\n\n',
    "trace": TRACE,
}

CALLS = [
    a_call(1, **FULL),
    a_call(
        2,
        api="responses",
        method="POST",
        path="/openai/v1/responses",
        caller="team-b",
        status=401,
        outcome="refused",
        error_code="unknown_key",
        usage_reason=None,
    ),
    a_call(
        3,
        api="embeddings",
        caller="team-a",
        outcome="client_gone",
        usage_source="estimated",
        usage_reason="cut",
        input_tokens=2**53 + 1,
        total_tokens=2**63 - 1,
        usage={"prompt_tokens": 2**63 - 1},
        response_body="",
    ),
    a_call(4),
    a_call(5, outcome="upstream_error", status=503, usage_reason="unreadable", api="completions", attempts=3),
    a_call(6, outcome="upstream_broken", status=200, usage_reason="too_large", tags={"": "empty"}),
    a_call(7, outcome="timed_out", usage_reason="unread_encoding", caller="team-\u00e4\U0001f600"),
    a_call(8, outcome="aborted", usage_reason="withheld", request_body="{}"),
]
"""All fields are filled by the first, every word of a closed list is in one of them, and one has nothing to say."""

# What the records say is everything there is to say.
for _field in msgspec.structs.fields(CallRecord):
    assert _field.name in FULL or _field.name in ("call_id", "replica", "seq", "started_at", "outcome"), _field.name
for _name, _words in (("outcome", Outcome), ("usage_reason", UsageReason), ("usage_source", UsageSource)):
    assert set(get_args(_words)) <= {getattr(call, _name) for call in CALLS}, _name
for _part in (TRACE, TRACE.targets[0], TRACE.attempts[0]):
    assert all(getattr(_part, _name) not in (None, "", []) for _name in _part.__struct_fields__), _part


def main() -> None:
    place = HERE / "fixtures" / __version__
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as scratch, mock.patch.object(socket, "gethostname", lambda: "gateway"):
        home = Path(scratch)
        said = _settings(home) | _books(home / "tokenweir-data") | _keys(home / "tokenweir-data")
        said |= _events(home) | {"made_by": _made_by()}
        with (
            gzip.GzipFile(place / "files.tar.gz", "wb", mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w") as tar,
        ):
            tar.add(home, arcname=".", filter=_without_owner)
    (place / "expected.json").write_text(json.dumps(said, indent=1, ensure_ascii=False) + "\n")


def _made_by() -> dict[str, str]:
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=HERE, check=True)
    versions = {"tokenweir": __version__, "commit": commit.stdout.strip(), "python": sys.version.split()[0]}
    return versions | {"msgspec": msgspec.__version__, "duckdb": duckdb.__version__}


def _settings(home: Path) -> dict[str, Any]:
    """Two files with every setting, and the value of each in the units of the code."""
    (home / "tls").mkdir()
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(home / "tls/ca.pem"))
    ours = authority.issue_cert("gateway.example")
    ours.cert_chain_pems[0].write_to_path(str(home / "tls/certificate.pem"))
    ours.private_key_pem.write_to_path(str(home / "tls/key.pem"))
    said, used = {}, set()
    for name in ("tokenweir.toml", "consumer.toml"):
        shutil.copy(HERE / name, home)
        tree = tomllib.loads((home / name).read_text())
        used |= _names(tree)
        said[name] = _values(Config, tree)
    assert set(_every_setting()) <= used | {"checkpoints_connection_string_env"}, set(_every_setting()) - used
    return {"settings": said}


def _names(tree: Any) -> set[str]:
    if isinstance(tree, dict):
        return set(tree).union(*map(_names, tree.values()))
    return set().union(*map(_names, tree)) if isinstance(tree, list) else set()


def _every_setting(kind: Any = Config) -> list[str]:
    names = []
    for name, field in fields(kind).items():
        choice = chosen_by(field.type)
        names += [name for table in (choice.tables.values() if choice else ()) for name in _every_setting(table)]
        inner = item_of(field.type) or field.type
        names += [name, *(_every_setting(inner) if hasattr(inner, "__struct_fields__") else [])]
    return names


def _values(kind: Any, tree: Any) -> Any:
    """What the file says, as the settings have it: seconds, bytes, moments."""
    if isinstance(tree, list):
        return [_values(item_of(kind) or kind, item) for item in tree]
    if not (isinstance(tree, dict) and hasattr(kind, "__struct_fields__")):
        parse = getattr(kind, "parse", None) or next((p.parse for p in get_args(kind) if hasattr(p, "parse")), None)
        return _plain(parse(tree) if parse else tree)
    return {name: _values(_type_of(fields(kind)[name].type, tree), value) for name, value in tree.items()}


def _type_of(kind: Any, around: dict[str, Any]) -> Any:
    choice = chosen_by(kind)
    return kind if choice is None else choice.tables[around[choice.by]]


def _plain(value: Any) -> Any:
    for kind in (bool, int, float):
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal) else msgspec.to_builtins(value)


def _books(data: Path) -> dict[str, Any]:
    """A journal of a run that ended, one of a run that was killed, and a ledger that has half of the first."""
    journal = data / "journal"
    ended = journal / "relay-0"
    writer = Journal.open(ended, JournalSettings(segment_size=Size(2000)), Clock())
    writer.gauges["relay_open_calls"] = 3
    calls = [_append(writer, call) for call in CALLS]
    assert writer.close() == 0

    killed = journal / "relay-1"
    writer = Journal.open(killed, JournalSettings(), Clock())
    lost = [a_call(100 + number, caller="team-c") for number in range(3)]
    lost = [_append(writer, call) for call in lost]
    left = data / "left"
    shutil.copytree(killed, left)
    assert writer.close() == 0
    shutil.rmtree(killed)
    left.rename(killed)
    [segment] = killed.glob("*.twj")
    half = frame(b"x" * 100, segment.read_bytes()[16:20])[:50]
    segment.write_bytes(segment.read_bytes() + half)

    (journal / "name").write_text("gateway-0123456789ab")
    reader = JournalReader(ended)
    batches = [reader.read(1) for _ in range(4)]
    assert [batch.records for batch in batches] == [[call] for call in calls[:4]]
    ledger = open_ledger(f"duckdb:{data}/ledger.duckdb")
    assert ledger.post(calls[:4], "gateway-0123456789ab/relay-0", batches[3].position) == 4
    ledger.close()
    save_cursor(ended, "ledger", batches[3].position)
    save_cursor(ended, "sink-calls", batches[1].position)
    (ended / "missing.jsonl").write_text(
        '{"found_at":"2026-11-29T10:00:00Z","replica":"gateway-relay-0-000000000000","first":7,"last":9,"reason":"told"}\n'
        '{"found_at":"2026-11-29T11:00:00Z","replica":null,"first":5,"last":5,"reason":"was cut to 20 bytes"}\n'
    )
    assert len(list(ended.glob("*.twj"))) > 1
    return {"calls": {"relay-0": [*map(_row, calls)], "relay-1": [*map(_row, lost)]}}


def _append(writer: Journal, call: CallRecord) -> CallRecord:
    """On disk when this returns, in the order of the calls."""
    call = msgspec.structs.replace(call, replica=writer.replica, seq=writer.next_seq())

    async def until_durable() -> None:
        durable = asyncio.get_running_loop().create_future()
        writer._committer.loop = None
        writer.append(call, lambda: durable.set_result(None))
        await durable

    asyncio.run(until_durable())
    return call


def _row(call: CallRecord) -> dict[str, Any]:
    row: dict[str, Any] = msgspec.to_builtins(msgspec.structs.asdict(call))
    return row


def _keys(data: Path) -> dict[str, Any]:
    path, clock = data / "keys.json", Clock()
    key, _ = add_key(path, "team-a", {"cost_centre": "4711", "größe": "klein"}, clock)
    revoked, stored = add_key(path, "team-b", {}, clock)
    revoke_key(path, stored.key_id, clock)
    return {"keys": {"stored": msgspec.to_builtins(read_keys(path)), "valid": key, "revoked": revoked}}


def _events(home: Path) -> dict[str, Any]:
    """Events of the shape that a consumer reads, and what both sides have put aside."""
    calls = SinkSettings("calls", "file", FileConnection(path="calls.jsonl"))
    enveloped = msgspec.structs.replace(calls, cloud_events=True)
    large = msgspec.structs.replace(CALLS[0], call_id="large", response_body="ä" * 3000)
    events = [event for call in (CALLS[0], large) for event in fit_json(call, calls, 4096)]
    events += fit_json(CALLS[2], enveloped, 1 << 20)
    assert len(events) > 3
    messages = [{"properties": event.properties, "body": event.body.decode()} for event in events]
    (home / "events.json").write_text(json.dumps(messages, ensure_ascii=False))
    letters = home / "tokenweir-data" / "dead-letters"
    dead_events = DeadEvents(LetterFile(letters / "calls.jsonl"), "calls", Clock())
    dead_events.bury(Rejected("413 Payload Too Large", events[:1]))
    unread = [
        DeadMessage("hub/0", BrokerMessage(place=f"offset {at}", body=body, properties={"a": "b"}), "no JSON")
        for at, body in _UNREAD
    ]
    DeadMessages(LetterFile(letters / "intake.jsonl"), Clock()).bury(unread)
    return {"consumed": [_row(CALLS[0]), _row(large), _row(CALLS[2])]}


_UNREAD = [(1, b'{"call_id": 7}'), (2, b"\xff\xfe")]


def _without_owner(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = int(NOW.timestamp())
    return member


if __name__ == "__main__":
    main()
