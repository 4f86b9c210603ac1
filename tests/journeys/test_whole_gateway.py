"""``tokenweir serve`` as people run it: supervisor, relay and books as processes, asked by the command line."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import AuthenticationError, AzureOpenAI

from tokenweir.policy import hash_key, read_keys
from tokenweir.serve.gateway_process import GatewayProcess, free_port, running_gateway
from tokenweir.simulator import HostedSimulator

MESSAGES: Any = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def config(tmp_path: Path, sim: HostedSimulator) -> Path:
    file = tmp_path / "tokenweir.toml"
    file.write_text(
        f"""
[server]
data = "127.0.0.1:{free_port()}"
admin = "127.0.0.1:{free_port()}"
keys = "{tmp_path}/keys.json"
shutdown_grace = "3s"

[journal]
directory = "{tmp_path}/journal"

[ledger]
url = "duckdb:{tmp_path}/ledger.duckdb"

[[upstreams]]
name = "sim"
endpoint = "{sim.url}"
credential = {{ key = "upstream-key" }}
"""
    )
    return file


@pytest.fixture
def gateway(config: Path, tmp_path: Path) -> Iterator[GatewayProcess]:
    addresses = [line.split('"')[1] for line in config.read_text().splitlines() if line.startswith(("data", "admin"))]
    with running_gateway(config, *addresses, log=tmp_path / "log") as running:
        yield running


def tokenweir(config: Path, *arguments: str) -> Any:
    """A command's JSON answer."""
    command = [sys.executable, "-m", "tokenweir", *arguments, "--config", str(config), "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def call(gateway: GatewayProcess, key: str = "any", stream: bool = True) -> None:
    with AzureOpenAI(azure_endpoint=gateway.url, api_key=key, api_version="2024-10-21", max_retries=0) as client:
        if stream:
            with client.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True) as chunks:
                list(chunks)
        else:
            client.chat.completions.create(model="gpt-4o", messages=MESSAGES)


def wait_for_rows(gateway: GatewayProcess, calls: int) -> None:
    """Until the ledger has so many calls: a record is on disk some milliseconds after its answer's end."""
    while sum(row["calls"] for row in httpx.get(f"{gateway.admin_url}/api/usage").json()) < calls:
        pass


def relay_pid(gateway: GatewayProcess, name: str = "relay-0") -> int:
    """The process that holds a relay's journal."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rsplit(")", 1)[1].split()
            opened = [os.readlink(fd) for fd in (status.parent / "fd").iterdir()]
        except OSError:
            continue
        if int(fields[1]) == gateway.process.pid and any(f"{name}/lock" in one for one in opened):
            return int(status.parent.name)
    raise AssertionError("no such process")


def test_a_streamed_call_is_in_the_books_a_moment_later_running_or_not(
    gateway: GatewayProcess, config: Path, sim: HostedSimulator
) -> None:
    call(gateway)
    call(gateway, stream=False)
    wait_for_rows(gateway, 2)
    while_running = tokenweir(config, "usage", "--by", "caller,model")
    seeds = tokenweir(
        config, "query", "--kql", 'customEvents | where name contains "Azure OpenAI Tokens" | summarize count()'
    )
    gateway.stop()
    after = tokenweir(config, "usage", "--by", "caller,model")
    sent = sim.calls

    assert while_running == after
    (row,) = after
    assert (row["caller"], row["calls"]) == ("anonymous", 2)
    assert row["input_tokens"] == sum(one.prompt_tokens for one in sent)
    assert row["output_tokens"] == sum(one.completion_tokens for one in sent)
    assert "2" in json.dumps(seeds)
    assert gateway.process.returncode == 0


def test_the_admin_port_tells_how_everything_is(gateway: GatewayProcess) -> None:
    call(gateway)
    wait_for_rows(gateway, 1)
    with httpx.Client(base_url=gateway.admin_url) as admin:
        record = admin.get("/api/calls", params={"limit": 1}).json()[0]
        assert admin.get(f"/api/calls/{record['call_id']}").json()["total_tokens"] == record["total_tokens"]
        assert admin.get("/healthz").status_code == 200
        assert all(check["ok"] for check in admin.get("/readyz").json()["checks"])
        metrics = admin.get("/metrics").text
    assert (
        'tokenweir_calls_total{caller="anonymous",deployment="gpt-4o",outcome="completed",status="2xx"} 1.0' in metrics
    )
    assert 'tokenweir_relay_up{relay="relay-0"} 1.0' in metrics


def test_a_key_is_made_and_revoked_by_the_running_gateway_and_what_is_said_holds(
    gateway: GatewayProcess, config: Path
) -> None:
    def keys(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tokenweir", "keys", *arguments, "--config", str(config)]
        return subprocess.run(command, capture_output=True, text=True, check=True)

    call(gateway)
    made = keys("create", "team-b")
    key = made.stdout.strip()
    assert "It is the first key" in made.stderr and "It is in force in relay-0." in made.stderr
    assert refused(gateway, "any")
    call(gateway, key=key)
    [stored] = read_keys(config.with_name("keys.json"))
    assert "It is refused by relay-0." in keys("revoke", stored.key_id).stderr
    assert refused(gateway, key)
    assert "This is in force in relay-0." in keys("list").stderr
    assert "team-b" in {row["caller"] for row in tokenweir(config, "usage")}


def test_keys_that_cannot_be_read_are_told_until_they_can(gateway: GatewayProcess, config: Path) -> None:
    file = config.with_name("keys.json")
    file.write_text("not keys")
    while ready(gateway).get("keys of relay-0") is not False:
        pass
    file.unlink()
    while not all(ready(gateway).values()):
        pass


def test_books_that_are_killed_are_started_again_and_catch_up_exactly_once(
    gateway: GatewayProcess, config: Path
) -> None:
    call(gateway)
    children = Path(f"/proc/{gateway.process.pid}/task/{gateway.process.pid}/children").read_text().split()
    relay = relay_pid(gateway)
    for pid in {*map(int, children)} - {relay}:
        os.kill(pid, signal.SIGKILL)
    for _ in range(5):
        call(gateway)
    while not gateway.is_ready():
        pass
    wait_for_rows(gateway, 6)

    (row,) = tokenweir(config, "usage")
    assert row["calls"] == 6


def test_a_relay_that_is_killed_comes_back_on_the_same_port(gateway: GatewayProcess, config: Path) -> None:
    call(gateway)
    wait_for_rows(gateway, 1)  # what is killed with a record that is not on disk yet takes it along
    os.kill(relay_pid(gateway), signal.SIGKILL)
    call(gateway)  # waits in the listening socket's queue, which the supervisor holds
    wait_for_rows(gateway, 2)

    (row,) = tokenweir(config, "usage")
    assert row["calls"] == 2


def test_the_proxy_functions_variables_are_enough(sim: HostedSimulator, tmp_path: Path) -> None:
    data, admin = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    environ = {
        "AZURE_OPENAI_BASE_URL": sim.url,
        "AZURE_OPENAI_KEY": "upstream-key",
        "AZURE_OPENAI_API_VERSION": "2024-10-21",
        "TOKENWEIR_SERVER__DATA": data,
        "TOKENWEIR_SERVER__ADMIN": admin,
        "TOKENWEIR_SERVER__SHUTDOWN_GRACE": "3s",
    }
    with running_gateway(None, data, admin, log=tmp_path / "log", environ=environ, directory=tmp_path) as gateway:
        call(gateway)
        call(gateway, stream=False)
        wait_for_rows(gateway, 2)
        (row,) = httpx.get(f"{gateway.admin_url}/api/usage", params={"by": "backend"}).json()

    assert (row["backend"], row["calls"]) == ("azure", 2)
    assert (tmp_path / "tokenweir-data/ledger.duckdb").exists()


def test_a_port_that_is_taken_is_said_in_one_line(gateway: GatewayProcess, config: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tokenweir", "serve", "--config", str(config)], capture_output=True, text=True
    )

    assert done.returncode == 2
    assert "cannot listen" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_every_metric_is_explained_and_nothing_else(gateway: GatewayProcess) -> None:
    call(gateway)
    wait_for_rows(gateway, 1)
    text = ""
    while "active_calls" not in text:  # until the relay has said how it is, within a second
        text = httpx.get(f"{gateway.admin_url}/metrics").text
    told = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    page = (Path(__file__).resolve().parents[2] / "docs/reference/metrics.md").read_text("utf-8")
    gateways, _, _ = page.partition("## Of a consumer")
    explained = {line.split("`")[1] for line in gateways.splitlines() if line.startswith("| `")}

    assert told == explained


def test_a_relay_that_dies_after_a_reload_comes_back_with_what_it_had_taken(
    gateway: GatewayProcess, config: Path
) -> None:
    caller = f'\n[[callers]]\nname = "team-a"\nkey_sha256 = "{hash_key("new-key")}"\n'
    config.write_text(config.read_text() + caller)
    os.kill(gateway.process.pid, signal.SIGHUP)
    while refused(gateway, "new-key") or not refused(gateway, "any"):
        pass
    os.kill(relay_pid(gateway), signal.SIGKILL)
    call(gateway, "new-key")
    assert refused(gateway, "any")


def refused(gateway: GatewayProcess, key: str) -> bool:
    try:
        call(gateway, key, stream=False)
    except AuthenticationError:
        return True
    return False


def test_a_start_that_cannot_work_ends_in_one_line(config: Path, tmp_path: Path) -> None:
    (tmp_path / "journal").write_text("this is no directory")
    command = [sys.executable, "-m", "tokenweir", "serve", "--config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50)

    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "journal" in done.stderr


def test_a_ledger_that_is_broken_stops_no_call_and_has_them_all_once_it_is_mended(config: Path, tmp_path: Path) -> None:
    (tmp_path / "ledger.duckdb").write_text("this is no database")
    data, admin = (line.split('"')[1] for line in config.read_text().splitlines() if line.startswith(("data", "admin")))
    command = [sys.executable, "-m", "tokenweir", "serve", "--config", str(config)]
    with (tmp_path / "log").open("wb") as log, subprocess.Popen(command, stderr=log) as process:
        try:
            gateway = GatewayProcess(process, data, admin)
            while ready(gateway, "ledger").get("relays") is not True:
                assert process.poll() is None
            call(gateway)
            assert ready(gateway)["ledger"] is False
            answer = httpx.get(f"{gateway.admin_url}/api/usage")
            assert answer.status_code == 503
            assert "ledger.duckdb cannot be opened" in answer.json()["error"]["message"]
            assert httpx.get(f"{gateway.admin_url}/metrics").status_code == 200

            (tmp_path / "ledger.duckdb").unlink()
            while not gateway.is_ready():
                assert process.poll() is None
            wait_for_rows(gateway, 1)
        finally:
            process.terminate()
    assert process.returncode == 0
    assert b"wait in the journal" in (tmp_path / "log").read_bytes()


def ready(gateway: GatewayProcess, exclude: str = "") -> dict[str, bool]:
    """The checks, and whether each is well; none while nobody answers."""
    try:
        answer = httpx.get(f"{gateway.admin_url}/readyz", params={"exclude": exclude} if exclude else {})
    except httpx.TransportError:
        return {}
    return {check["name"]: check["ok"] for check in answer.json()["checks"]}


def test_what_may_hold_prompts_is_nobody_elses_to_read(gateway: GatewayProcess, config: Path, tmp_path: Path) -> None:
    call(gateway)
    tokenweir(config, "usage")
    for path in (tmp_path / "ledger.duckdb", tmp_path / "journal" / "relay-0"):
        assert path.stat().st_mode & 0o077 == 0
