"""Each cause of an outage in the guide is made here, and says what the guide's table promises."""

import asyncio
import json
import socket
import subprocess
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
import trustme

from support.clocks import JumpingClock
from support.disks import fill_up
from support.raw_client import RawClient, chat_request
from support.relay_thread import KEY, RelayThread
from support.scripted import Line
from support.streams import answer
from support.world import World
from tokenweir.admin import ConsumerStatus, LedgerStatus, Metrics, RelayStatus, create_consumer_app, readiness
from tokenweir.cli.checkup import check_all
from tokenweir.config import examine
from tokenweir.delivery import Delivery, Unavailable
from tokenweir.delivery.base import AttemptPolicy, RecordBatch
from tokenweir.errors import ConfigError, JournalError, TokenweirError
from tokenweir.gateway import ServerSettings
from tokenweir.journal import Journal, JournalSettings, begin_cursor, read_status, save_cursor
from tokenweir.journal.cursors import START
from tokenweir.ledger import ledger_opener
from tokenweir.limits import AdmissionSettings, LimitAmounts, LimitSettings
from tokenweir.policy import CallerSettings, add_key, hash_key
from tokenweir.records import SystemClock, from_fields
from tokenweir.serve.books import Books, _Trouble, _try_to_catch_up
from tokenweir.serve.certificate import Certificate
from tokenweir.serve.keys_watch import KeysWatch
from tokenweir.serve.late_ledger import LateLedger
from tokenweir.serve.starting import listen

PAGE = Path(__file__).resolve().parents[2] / "docs/guides/incidents.md"
# Longer than what is left of a page that the journal has already been given.
LARGE_BODY = json.dumps({"messages": [{"role": "user", "content": "What does a weir do? " * 1000}]}).encode()
NOW = datetime(2026, 11, 30, 3, tzinfo=UTC)


class Said(NamedTuple):
    """What each part said; the log is what was logged besides."""

    doctor: str = ""
    readyz: str = ""
    log: str = ""
    metrics: str = ""


class Scene(NamedTuple):
    folder: Path
    world: World


def doctor(
    folder: Path, upstream: str = "http://127.0.0.1:1", *, journal: Path | None = None, proxy: str = "", **server: str
) -> str:
    """What the doctor finds wrong with a gateway in the folder."""
    settings = {"data": "127.0.0.1:0", "admin": "127.0.0.1:1", "keys": f"{folder}/keys.json", **server}
    file = folder / "tokenweir.toml"
    file.write_text(
        "[server]\n"
        + "".join(f'{name} = "{value}"\n' for name, value in settings.items())
        + f'[journal]\ndirectory = "{journal or folder / "journal"}"\n[ledger]\nurl = "duckdb:{folder}/ledger.duckdb"\n'
        + f'[[upstreams]]\nname = "sim"\nendpoint = "{upstream}"\ncredential = {{ key = "k" }}\n'
        + (f'proxy = "{proxy}"\n' if proxy else "")
    )
    return findings(file)


def doctor_of_consumer(folder: Path, admin: str = "127.0.0.1:1") -> str:
    """What it finds wrong with a consumer whose broker is away."""
    file = folder / "consume.toml"
    file.write_text(
        f'[ledger]\nurl = "duckdb:{folder}/ledger.duckdb"\n[intake]\nkind = "kafka"\nservers = "127.0.0.1:1"\n'
        f'topic = "calls"\ntls = false\nadmin = "{admin}"\ndead_letters = "{folder}/dead.jsonl"\n'
    )
    return findings(file)


def findings(file: Path) -> str:
    found = check_all(examine(file, {}), {})
    return "\n".join(f"{one.what} {one.fix}" for one in found if one.status != "ok")


def failing_call(relay: RelayThread) -> None:
    with RawClient(relay.address) as client:
        client.send(chat_request(deployment="faulty", key=KEY))
        assert client.read_answer().status == 502
    relay.records(1)


def as_books_see_it(directory: Path) -> RelayStatus:
    """The relay that has its journal there."""
    return Books(directory.parent, None, SystemClock(), None)._relay(directory)  # type: ignore[arg-type]


def as_it_tells(relay: RelayThread) -> RelayStatus:
    relay.inside(relay.process._publish)
    status = relay.journal.status()
    return RelayStatus(name="relay-0", fresh=True, age=0.0, journal=status, gauges=status.gauges)


def exposed(*relays: RelayStatus, ledger: LedgerStatus | None = None) -> str:
    return Metrics(lambda: list(relays), list, lambda: ledger or LedgerStatus()).exposition().decode()


def readyz(relay: RelayStatus) -> str:
    return "\n".join(f"{check.name}: {check.message}" for check in readiness([relay], 1, None))


def upstream_out_of_reach(scene: Scene) -> Said:
    relay = scene.world.relay("http://127.0.0.1:1")
    failing_call(relay)
    return Said(doctor(scene.folder), metrics=exposed(as_it_tells(relay)))


def upstreams_name_unknown(scene: Scene) -> Said:
    relay = scene.world.relay("http://no-such-host.invalid")
    failing_call(relay)
    return Said(doctor(scene.folder, "http://no-such-host.invalid"), metrics=exposed(as_it_tells(relay)))


def proxy_needed(scene: Scene) -> Said:
    """Only the proxy knows the way out, and at first it lets nobody through to there."""

    def refuse(line: Line) -> None:
        line.read_request()
        line.send(answer(b"", status="403 Forbidden"))

    proxy = scene.world.upstream(refuse)
    relay = scene.world.relay("https://only-by-proxy.invalid")
    failing_call(relay)
    said = doctor(scene.folder, "https://only-by-proxy.invalid", proxy=proxy.url)
    assert "no way through the proxy" in said and "let the upstream's host through" in said
    return Said(doctor(scene.folder, "https://only-by-proxy.invalid"), metrics=exposed(as_it_tells(relay)))


def upstream_refuses_the_key(scene: Scene) -> Said:
    def refuse(line: Line) -> None:
        line.read_request()
        line.send(answer(b'{"error": {"code": "401", "message": "wrong"}}', status="401 Unauthorized"))

    upstream = scene.world.upstream(refuse)
    relay = scene.world.relay(upstream)
    failing_call(relay)
    metrics = exposed(as_it_tells(relay))
    return Said(
        "the key", metrics=metrics
    )  # tests/cli/test_doctor.py has the doctor's part, with an upstream for each of its steps


def data_port_taken(scene: Scene) -> Said:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(ConfigError) as raised:
            listen(address, "[server] data")
        return Said(doctor(scene.folder, data=address), log=str(raised.value))


def certificate_expired(scene: Scene) -> Said:
    end = NOW - timedelta(days=1)
    issued = trustme.CA().issue_cert("127.0.0.1", not_before=end - timedelta(days=90), not_after=end)
    pem = scene.folder / "c.pem"
    issued.private_key_and_cert_chain_pem.write_to_path(str(pem))
    certificate = Certificate(ServerSettings(certificate=str(pem), private_key=str(pem)), JumpingClock(NOW))
    assert certificate.expires_at is not None and certificate.expires_at < NOW
    gauges: dict[str, float | int] = {"certificate_expires_timestamp_seconds": certificate.expires_at.timestamp()}
    metrics = exposed(RelayStatus(name="relay-0", fresh=True, age=0.0, gauges=gauges))
    return Said(doctor(scene.folder, certificate=str(pem), private_key=str(pem)), metrics=metrics)


def keys_file_unreadable(scene: Scene) -> Said:
    keys = scene.folder / "keys.json"
    add_key(keys, "ada", {}, SystemClock())
    clock = JumpingClock(NOW)
    watch = KeysWatch(keys, clock)
    keys.write_text("?")
    watch.look()
    assert watch.trouble is not None
    journal = Journal.open(scene.folder / "journal" / "relay-0", JournalSettings(), clock)
    journal.troubles = {"keys": watch.trouble}
    journal.close()
    status = read_status(scene.folder / "journal" / "relay-0")
    gauges: dict[str, float | int] = {"keys_failing": int(watch.trouble is not None)}
    relay = RelayStatus(name="relay-0", fresh=True, age=0.0, journal=status, gauges=gauges)
    return Said(doctor(scene.folder), readyz(relay), metrics=exposed(relay))


def ledger_broken(scene: Scene) -> Said:
    (scene.folder / "ledger.duckdb").write_text("?")
    ledger = LateLedger(ledger_opener(f"duckdb:{scene.folder}/ledger.duckdb"), JumpingClock(NOW))

    class Books:
        def catch_up(self) -> None:
            ledger.position("")

    _try_to_catch_up(Books(), _Trouble(JumpingClock(NOW)))  # type: ignore[arg-type]
    with pytest.raises(TokenweirError) as raised:
        ledger.position("")
    since = LedgerStatus(NOW).failing_since
    (check,) = [one for one in readiness([], 0, str(raised.value), ledger_failing_since=since) if not one.ok]
    return Said(doctor(scene.folder), check.message, metrics=exposed(ledger=LedgerStatus(since, 1)))


def journals_place_unusable(scene: Scene) -> Said:
    place = scene.folder / "journal"
    place.write_text("?")
    with pytest.raises(JournalError) as raised:
        Journal.open(place / "relay-0", JournalSettings(), JumpingClock(NOW))
    said = doctor(scene.folder)
    place.unlink()
    return Said(said, log=str(raised.value))


def disk_full(scene: Scene) -> Said:
    disk = scene.world.small_disk()
    relay = scene.world.relay(folder=disk, journal={"content": "full"})
    filler = fill_up(disk)
    with RawClient(relay.address) as client:
        client.send(chat_request(body=LARGE_BODY))
        assert client.read_answer().status == 200  # nothing was known of it yet
        place = disk / "journal/relay-0"
        # It says so every second; what it had begun to say before may still come first.
        relay.until(lambda: (told := read_status(place)) is not None and told.failing_since)
        seen = as_books_see_it(place)
        said = Said(doctor(scene.folder, journal=disk / "journal"), readyz(seen), metrics=exposed(seen))
        filler.unlink()
        relay.until(lambda: relay.journal.status().failing_since is None)
    return said


def journal_read_only(scene: Scene) -> Said:
    disk = scene.world.small_disk()
    place = disk / "journal/relay-0"
    Journal.open(place, JournalSettings(), SystemClock()).close()
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with pytest.raises(JournalError) as raised:
        Journal.open(place, JournalSettings(), SystemClock())
    seen = as_books_see_it(place)
    return Said(doctor(scene.folder, journal=disk / "journal"), readyz(seen), str(raised.value), exposed(seen))


def clock_wrong(scene: Scene) -> Said:
    def answer_of_long_ago(line: Line) -> None:
        line.read_request()
        line.send(answer(b"{}", "date: Thu, 01 Jan 2026 00:00:00 GMT"))

    relay = scene.world.relay()
    relay.inside(lambda: relay.clock.set_by(3600.0))
    relay.until(lambda: relay.process._jumps.count)
    told = as_it_tells(relay)
    said = doctor(scene.folder, scene.world.upstream(answer_of_long_ago).url)
    return Said(said, readyz(told), metrics=exposed(told))


def cursor_without_a_position(scene: Scene) -> Said:
    save_cursor(scene.folder, "sink", START.text())
    (scene.folder / "cursors/sink").write_bytes(b"")
    begin_cursor(scene.folder, "sink")
    return Said()


def broker_away(scene: Scene) -> Said:
    class Away:
        async def read(self) -> RecordBatch | None:
            delivery.stop()
            raise Unavailable("no broker answers")

        async def done(self, batch: RecordBatch) -> None: ...
        def stop(self) -> None: ...
        async def close(self) -> None: ...

    delivery = Delivery("consume", Away(), [], JumpingClock(NOW))
    asyncio.run(delivery.run())
    status = ConsumerStatus(failing_since=delivery.failing_since, last_error=delivery.last_error)
    return Said(doctor_of_consumer(scene.folder), ask(status, "/readyz"), metrics=ask(status, "/metrics"))


def ask(status: ConsumerStatus, path: str) -> str:
    """What a consumer's port answers."""

    async def get() -> str:
        transport = httpx.ASGITransport(app=create_consumer_app(lambda: status, None))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return (await client.get(path)).text

    return asyncio.run(get())


def consumer_stuck(scene: Scene) -> Said:
    """Its ledger takes a batch and says nothing any more."""
    stuck: list[datetime] = []

    class One:
        async def read(self) -> RecordBatch | None:
            return None if stuck else RecordBatch(records=[from_fields(call_id="c", started_at=NOW)], positions={})

        async def done(self, batch: RecordBatch) -> None: ...
        def stop(self) -> None: ...
        async def close(self) -> None: ...

    class LockedLedger:
        async def open(self) -> None: ...
        async def close(self) -> None: ...

        async def deliver(self, batch: RecordBatch, attempt: AttemptPolicy) -> None:
            while delivery.stuck_since is None:  # noqa: ASYNC110 - what is waited for happens in the loop under test
                await asyncio.sleep(0)
            stuck.append(delivery.stuck_since)
            delivery.stop()

    delivery = Delivery("consume", One(), [LockedLedger()], JumpingClock(NOW), stuck_after=0.0)
    asyncio.run(delivery.run())
    status = ConsumerStatus(stuck_since=stuck[0])
    readyz = ask(status, "/readyz")

    class Port(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(503)
            self.end_headers()
            self.wfile.write(readyz.encode())

        def log_message(self, format: str, *args: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Port) as server:
        threading.Thread(target=server.handle_request).start()
        said = doctor_of_consumer(scene.folder, f"127.0.0.1:{server.server_address[1]}")
    return Said(said, readyz, metrics=ask(status, "/metrics"))


def holder_of_the_limits_away(scene: Scene) -> Said:
    nobody = AdmissionSettings(holder=f"unix://{scene.folder}/redis.sock")
    everybody = LimitSettings("everybody", LimitAmounts(concurrent_calls=5), callers=["team-b"])
    key = "tw-key-of-team-b"
    callers = [CallerSettings("team-a", hash_key(KEY)), CallerSettings("team-b", hash_key(key))]
    relay = scene.world.relay(admission=nobody, limits=[everybody], callers=callers)
    with RawClient(relay.address) as client:
        client.send(chat_request(key=key))
        refused = client.read_answer()
    assert (refused.status, refused.error["code"]) == (503, "limits_unavailable")
    relay.records(1)
    return Said()


CAUSES: dict[str, Callable[[Scene], Said]] = {
    "upstream out of reach": upstream_out_of_reach,
    "upstream's name unknown (DNS)": upstreams_name_unknown,
    "proxy needed": proxy_needed,
    "upstream refuses the key": upstream_refuses_the_key,
    "data port taken": data_port_taken,
    "certificate expired": certificate_expired,
    "keys file unreadable": keys_file_unreadable,
    "ledger broken": ledger_broken,
    "journal's place unusable": journals_place_unusable,
    "disk full": disk_full,
    "journal read-only": journal_read_only,
    "clock wrong": clock_wrong,
    "cursor without a position": cursor_without_a_position,
    "broker away (`consume`)": broker_away,
    "consumer stuck": consumer_stuck,
    "holder of the limits away": holder_of_the_limits_away,
}


def rows() -> dict[str, list[str]]:
    lines = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {cause: rest for cause, *rest in cells if cause != "cause"}


def test_every_cause_of_the_guide_is_made_here() -> None:
    assert list(rows()) == list(CAUSES)


@pytest.mark.parametrize("cause", CAUSES)
def test_what_is_said_is_in_the_guide(
    cause: str, tmp_path: Path, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING")
    folder = tmp_path / "gateway"
    folder.mkdir()
    said = CAUSES[cause](Scene(folder, world))
    world.errors.taken()
    *promised, _ = rows()[cause]
    told = (said.doctor, said.readyz, f"{said.log}\n{caplog.text}", said.metrics)
    for words, text in zip(promised, told, strict=True):
        assert words.strip("`") in text
