"""Children of the benchmark: each on its own core, in its own session, and gone when its block is left."""

import json
import os
import resource
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO, Any

__all__ = [
    "ANY_CORE",
    "GATEWAY_CORE",
    "INTERRUPTED",
    "LOAD_CORE",
    "ROOT",
    "Child",
    "ask",
    "environment",
    "free_port",
    "leave_on_signals",
    "python_module",
    "raise_file_limit",
    "running",
    "talking",
    "tokenweir",
]

GATEWAY_CORE = 0
LOAD_CORE = 1
"""The load client and the upstream share it."""
ANY_CORE = "0,1"
"""Where the kernel is to share out what there is."""
INTERRUPTED = 128 + signal.SIGINT
"""What a program of this folder returns after Ctrl-C."""
ROOT = Path(__file__).resolve().parent.parent

# Envoy and uvicorn finish open requests first; the benchmark leaves none that matter.
_STOP_SECONDS = 10.0


@dataclass(frozen=True)
class Child:
    """A child that runs beside the benchmark and writes to a log."""

    process: subprocess.Popen[str]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None

    def last_words(self) -> str:
        """The end of its log, for the person who asks why it died."""
        return self.log.read_text(errors="replace")[-2000:].strip()


@contextmanager
def running(
    command: Sequence[str], core: int | str, log: Path, more_environment: dict[str, str] | None = None
) -> Iterator[Child]:
    """Run a command for the length of the block."""
    with log.open("w") as output:
        process = _start(command, core, output, environment(more_environment))
    try:
        yield Child(process, log)
    finally:
        _stop(process)


@contextmanager
def talking(command: Sequence[str], core: int | str) -> Iterator[Iterator[dict[str, Any]]]:
    """Run a command that prints JSON lines, for the block to read. RuntimeError if it fails."""
    process = _start(command, core, subprocess.PIPE, environment(None))
    try:
        yield _lines(process, command)
    finally:
        _stop(process)
        if process.stdout is not None:
            process.stdout.close()


def ask(command: Sequence[str], core: int | str) -> dict[str, Any]:
    """Run a command to its end and return the last JSON object it printed."""
    with talking(command, core) as lines:
        return list(lines)[-1]


def python_module(name: str, *arguments: object) -> list[str]:
    """The command that runs a module of this folder with this Python."""
    return [sys.executable, "-m", f"benchmarks.{name}", *map(str, arguments)]


def tokenweir(*arguments: object) -> list[str]:
    """The command of Tokenweir, as it is installed beside this Python."""
    return [sys.executable, "-m", "tokenweir", *map(str, arguments)]


def environment(more: dict[str, str] | None) -> dict[str, str]:
    """Only what a child needs: no proxy settings, and no keys of the person who runs the benchmark."""
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
    return kept | {"PATH": search_path()} | (more or {})


def search_path() -> str:
    """Where programs are looked for; Debian keeps nginx where ordinary users do not look."""
    return f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def leave_on_signals() -> None:
    """Ctrl-C and SIGTERM as an exception, so that every block that started a child is left and stops it."""
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, _leave)


def _leave(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def raise_file_limit() -> int:
    """Allow this process and its children as many open files as the system lets us; returns how many."""
    wanted = 65536
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(wanted, hard)))
        return wanted
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def _start(
    command: Sequence[str], core: int | str, output: IO[str] | int, variables: dict[str, str]
) -> subprocess.Popen[str]:
    # A session of its own, so that Ctrl-C reaches us alone and we stop children in order; if we are killed
    # ourselves, the kernel ends them.
    return subprocess.Popen(
        ["setpriv", "--pdeathsig", "TERM", "taskset", "-c", str(core), *command],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        env=variables,
        start_new_session=True,
    )


def _lines(process: subprocess.Popen[str], command: Sequence[str]) -> Iterator[dict[str, Any]]:
    assert process.stdout is not None
    other: deque[str] = deque(maxlen=20)
    for line in process.stdout:
        if line.startswith("{"):
            yield json.loads(line)
        else:
            other.append(line)
    if process.wait():
        raise RuntimeError(f"{' '.join(command)} failed:\n{''.join(other)}")


def _stop(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
    # Whatever is left of its session, the leader included.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
