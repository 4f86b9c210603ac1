"""The parts of a whole system as children: the simulator, gateways with a sink, the hub. Loopback only."""

import hashlib
import http.client
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .calls import caller_keys
from .contenders import Gateway, fill
from .processes import GATEWAY_CORE, LOAD_CORE, Child, free_port, python_module, running, talking, tokenweir
from .site import CACHE

__all__ = ["Hub", "Served", "Simulator", "hub", "run_folder", "served", "simulator", "wait_until"]

_CONFIGS = Path(__file__).parent / "configs"
_PATIENCE = 30.0
_SECRET = "BENCH_HUB"


@dataclass(frozen=True)
class Simulator:
    """What it answered is in ``ledger``, a JSON line for each call."""

    port: int
    ledger: Path


@dataclass(frozen=True)
class Hub:
    """A namespace with one hub."""

    pid: int
    connection_string: str


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
def simulator(run: Path) -> Iterator[Simulator]:
    found = Simulator(free_port(), run / "simulator.jsonl")
    command = tokenweir("simulate", "--listen", f"127.0.0.1:{found.port}", "--ledger", found.ledger)
    with running(command, LOAD_CORE, run / "simulator.log") as child:
        wait_until(lambda: _answers(found.port, "/"), child)
        yield found


@contextmanager
def hub(*options: object, partitions: int = 4) -> Iterator[Hub]:
    """With the options of ``benchmarks.hub``."""
    with talking(python_module("hub", partitions, *options), LOAD_CORE) as lines:
        yield Hub(**next(lines))


@contextmanager
def served(
    run: Path, upstream: Simulator, sink: str, *, callers: int, secret: str = "", ledger: str | None = None
) -> Iterator[Served]:
    """A gateway with a sink, given as the lines of its table; they may name ``secret`` as the variable BENCH_HUB."""
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
    with running(command, GATEWAY_CORE, run / "log", {_SECRET: secret}) as child:
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


def _answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()
