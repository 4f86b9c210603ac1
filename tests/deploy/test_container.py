"""The image: its Dockerfile carried out, then started as a cluster does, with nothing to write to but its volume."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.container_image import Image, build_image, instructions
from tokenweir.policy import hash_key
from tokenweir.serve.gateway_process import GatewayProcess, free_port
from tokenweir.simulator import HostedSimulator, running_simulator

ROOT = Path(__file__).resolve().parents[2]
KEY = "tw-key-of-team-a"
CALL = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"
BODY = {"messages": [{"role": "user", "content": "Hello"}]}
slow = pytest.mark.slow


def test_the_container_runs_as_an_unprivileged_user() -> None:
    users = [text for instruction, text in instructions(ROOT / "Dockerfile") if instruction == "USER"]
    assert users == ["10001:10001"]


def test_no_secret_can_be_built_in() -> None:
    said = instructions(ROOT / "Dockerfile")
    assert [text for instruction, text in said if instruction == "ARG"] == [
        "PYTHON=3.13",
        "EXTRAS=azure,insights,kafka,postgres",
        "PURE=0",
    ]
    assert [text for instruction, text in said if instruction == "ADD"] == []
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert next(line for line in ignored if line and not line.startswith("#")) == "*"
    copied = {
        word.strip("./")
        for instruction, text in said
        if instruction == "COPY" and not text.startswith("--from")
        for word in text.split()[:-1]
    }
    assert {line[1:] for line in ignored if line.startswith("!")} == copied


def test_the_signal_is_for_the_gateway_and_not_for_a_shell() -> None:
    said = dict(instructions(ROOT / "Dockerfile"))
    assert (said["ENTRYPOINT"], said["CMD"]) == ('["tokenweir"]', '["serve"]')


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    with build_image(ROOT) as built:
        yield built


@pytest.fixture
def sim() -> Iterator[HostedSimulator]:
    with running_simulator() as simulator:
        yield simulator


class Container:
    def __init__(self, process: "subprocess.Popen[bytes]", gateway: GatewayProcess, volume: Path, log: Path) -> None:
        self.process = process
        self.gateway = gateway
        self.volume = volume
        self.log = log

    @property
    def first(self) -> int:
        """The process that is number 1 in there, as it is called out here."""
        return children(self.process.pid)[0]

    def stop(self) -> int:
        os.kill(self.first, signal.SIGTERM)
        return self.process.wait(30)


@contextmanager
def running(image: Image, sim: HostedSimulator, folder: Path) -> Iterator[Container]:
    """A container that is configured by variables alone."""
    volume, log = new_volume(image, folder), folder / "log"
    data, admin = f"0.0.0.0:{free_port()}", f"127.0.0.1:{free_port()}"
    env = {
        **image.env,
        "TOKENWEIR_SERVER__DATA": data,
        "TOKENWEIR_SERVER__ADMIN": admin,
        "TOKENWEIR_UPSTREAMS": json.dumps(
            [{"name": "sim", "endpoint": sim.url, "credential": {"key": "upstream-key"}}]
        ),
        "TOKENWEIR_CALLERS": json.dumps([{"name": "team-a", "key_sha256": hash_key(KEY)}]),
    }
    command = image.enter([*image.entrypoint, *image.command], env, volume=volume)
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        gateway = GatewayProcess(process, f"127.0.0.1:{data.rpartition(':')[2]}", admin)
        try:
            wait_for(lambda: gateway.is_ready(), process, log)
            yield Container(process, gateway, volume, log)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def new_volume(image: Image, folder: Path) -> Path:
    """Empty, and the image's user's alone."""
    volume = folder / "volume"
    volume.mkdir(mode=0o700)
    os.chown(volume, *map(int, image.user.split(":")))
    return volume


def wait_for(condition: Any, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 40
    while not condition():
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@slow
@pytest.mark.timeout(1200)
def test_it_answers_writes_only_to_its_volume_and_ends_when_told(
    image: Image, sim: HostedSimulator, tmp_path: Path
) -> None:
    with running(image, sim, tmp_path) as container:
        answer = httpx.post(container.gateway.url + CALL, json=BODY, headers={"api-key": KEY})
        assert answer.status_code == 200, answer.text
        usage = httpx.get(container.gateway.admin_url + "/api/usage?by=caller").json()
        assert [(row["caller"], row["calls"]) for row in usage] == [("team-a", 1)]
        assert 'tokenweir_build_info{compiled="true"' in httpx.get(container.gateway.admin_url + "/metrics").text
        status = Path(f"/proc/{container.first}/status").read_text()
        assert "\nUid:\t10001\t10001\t10001\t10001\n" in status
        assert Path(f"/proc/{container.first}/root").resolve() != Path("/")
        mounts = Path(f"/proc/{container.first}/mounts").read_text().splitlines()
        assert [line.split()[3].split(",")[0] for line in mounts if line.split()[1] == "/"] == ["ro"]
        assert container.stop() == 0
        assert "stopped" in container.log.read_text()
    written = {path.name for path in (container.volume / "tokenweir-data").iterdir()}
    assert {"journal", "ledger.duckdb"} <= written


@slow
@pytest.mark.timeout(1200)
def test_as_process_1_it_takes_in_its_dead_children_and_starts_new_ones(
    image: Image, sim: HostedSimulator, tmp_path: Path
) -> None:
    with running(image, sim, tmp_path) as container:
        before = children(container.first)
        status_file = next(container.volume.rglob("status.json"))
        replica = json.loads(status_file.read_bytes())["replica"]
        for child in before:
            os.kill(child, signal.SIGKILL)

        def is_another() -> bool:
            return bool(json.loads(status_file.read_bytes())["replica"] != replica) and container.gateway.is_ready()

        wait_for(is_another, container.process, container.log)
        assert [state(child) for child in children(container.first)].count("Z") == 0
        assert container.stop() == 0


@slow
@pytest.mark.timeout(1200)
def test_it_says_what_is_missing_and_ends(image: Image, tmp_path: Path) -> None:
    command = image.enter([*image.entrypoint, *image.command], image.env, volume=new_volume(image, tmp_path))
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 2
    assert "upstreams" in ran.stderr


@slow
@pytest.mark.timeout(1200)
def test_the_extras_that_it_is_built_with_are_there(image: Image, tmp_path: Path) -> None:
    asked = "import azure.eventhub, azure.identity, aiokafka, psycopg, tokenweir; print(tokenweir.__file__)"
    command = image.enter(["python", "-c", asked], image.env, volume=new_volume(image, tmp_path))
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("/opt/tokenweir/")
