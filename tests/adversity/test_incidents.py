"""Each cause of an outage in the guide is made here, and says what the guide's table promises."""

import asyncio
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
import trustme

from support.clocks import JumpingClock
from support.raw_client import RawClient, chat_request
from support.relay_thread import KEY
from support.scripted import Line
from support.streams import answer
from support.world import World
from tokenweir.admin import ConsumerStatus, LedgerStatus, RelayStatus, create_consumer_app, readiness
from tokenweir.cli.checkup import check_all
from tokenweir.config import examine
from tokenweir.delivery import Delivery, Unavailable
from tokenweir.delivery.base import RecordBatch
from tokenweir.errors import ConfigError, JournalError, TokenweirError
from tokenweir.gateway import ServerSettings
from tokenweir.journal import Journal, JournalSettings, begin_cursor, read_status, save_cursor
from tokenweir.journal.cursors import START
from tokenweir.ledger import ledger_opener
from tokenweir.limits import AdmissionSettings, LimitAmounts, LimitSettings
from tokenweir.policy import CallerSettings, add_key, hash_key
from tokenweir.records import SystemClock
from tokenweir.serve.books import _Trouble, _try_to_catch_up
from tokenweir.serve.certificate import Certificate
from tokenweir.serve.keys_watch import KeysWatch
from tokenweir.serve.late_ledger import LateLedger
from tokenweir.serve.starting import listen

PAGE = Path(__file__).resolve().parents[2] / "docs/guides/incidents.md"
NOW = datetime(2026, 11, 30, 3, tzinfo=UTC)


class Said(NamedTuple):
    """What each part said; the log is what was logged besides."""

    doctor: str = ""
    readyz: str = ""
    log: str = ""


class Scene(NamedTuple):
    folder: Path
    world: World


def doctor(folder: Path, upstream: str = "http://127.0.0.1:1", **server: str) -> str:
    """What the doctor finds wrong with a gateway in the folder."""
    settings = {"data": "127.0.0.1:0", "admin": "127.0.0.1:1", "keys": f"{folder}/keys.json", **server}
    file = folder / "tokenweir.toml"
    file.write_text(
        "[server]\n"
        + "".join(f'{name} = "{value}"\n' for name, value in settings.items())
        + f'[journal]\ndirectory = "{folder}/journal"\n[ledger]\nurl = "duckdb:{folder}/ledger.duckdb"\n'
        + f'[[upstreams]]\nname = "sim"\nendpoint = "{upstream}"\ncredential = {{ key = "k" }}\n'
    )
    found = check_all(examine(file, {}), {})
    return "\n".join(f"{one.what} {one.fix}" for one in found if one.status != "ok")


def upstream_out_of_reach(scene: Scene) -> Said:
    relay = scene.world.relay("http://127.0.0.1:1")
    with RawClient(relay.address) as client:
        client.send(chat_request(deployment="faulty", key=KEY))
        assert client.read_answer().status == 502
    relay.records(1)
    return Said(doctor(scene.folder))


def upstreams_name_unknown(scene: Scene) -> Said:
    relay = scene.world.relay("http://no-such-host.invalid")
    with RawClient(relay.address) as client:
        client.send(chat_request(deployment="faulty", key=KEY))
        assert client.read_answer().status == 502
    relay.records(1)
    return Said(doctor(scene.folder, "http://no-such-host.invalid"))


def upstream_refuses_the_key(scene: Scene) -> Said:
    def refuse(line: Line) -> None:
        line.read_request()
        line.send(answer(b'{"error": {"code": "401", "message": "wrong"}}', status="401 Unauthorized"))

    upstream = scene.world.upstream(refuse)
    relay = scene.world.relay(upstream)
    with RawClient(relay.address) as client:
        client.send(chat_request(deployment="faulty", key=KEY))
        assert client.read_answer().status == 502
    relay.records(1)
    return Said("the key")  # tests/cli/test_doctor.py has the doctor's part, with an upstream for each of its steps


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
    Certificate(ServerSettings(certificate=str(pem), private_key=str(pem)), JumpingClock(NOW))
    return Said(doctor(scene.folder, certificate=str(pem), private_key=str(pem)))


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
    relay = RelayStatus(name="relay-0", fresh=True, age=0.0, journal=status)
    failed = [check for check in readiness([relay], 1, None) if not check.ok]
    return Said(doctor(scene.folder), "".join(f"{check.name}: {check.message}" for check in failed))


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
    return Said(doctor(scene.folder), check.message)


def journals_place_unusable(scene: Scene) -> Said:
    place = scene.folder / "journal"
    place.write_text("?")
    with pytest.raises(JournalError) as raised:
        Journal.open(place / "relay-0", JournalSettings(), JumpingClock(NOW))
    said = doctor(scene.folder)
    place.unlink()
    return Said(said, log=str(raised.value))


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

    async def ask() -> str:
        transport = httpx.ASGITransport(app=create_consumer_app(lambda: status, None))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return (await client.get("/readyz")).text

    return Said(readyz=asyncio.run(ask()))


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
    "upstream refuses the key": upstream_refuses_the_key,
    "data port taken": data_port_taken,
    "certificate expired": certificate_expired,
    "keys file unreadable": keys_file_unreadable,
    "ledger broken": ledger_broken,
    "journal's place unusable": journals_place_unusable,
    "cursor without a position": cursor_without_a_position,
    "broker away (`consume`)": broker_away,
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
    for words, text in zip(promised, (said.doctor, said.readyz, f"{said.log}\n{caplog.text}"), strict=True):
        assert words.strip("`") in text
