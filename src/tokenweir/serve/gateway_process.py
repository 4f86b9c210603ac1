"""A gateway run beside another program, as a process of its own: for the demonstration and for journeys."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ..errors import TokenweirError

__all__ = ["GatewayProcess", "free_port", "running_gateway"]

_PATIENCE_SECONDS = 30.0
_END_SECONDS = 20.0


class GatewayProcess:
    """A ``tokenweir serve`` and where it listens."""

    def __init__(self, process: "subprocess.Popen[bytes]", data: str, admin: str) -> None:
        self.process = process
        self.url = f"http://{data}"
        self.admin_url = f"http://{admin}"
        self._admin = admin

    def is_ready(self) -> bool:
        """Whether relays and books say that they are."""
        connection = http.client.HTTPConnection(self._admin, timeout=5)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def stop(self) -> int:
        """SIGTERM, and the exit code that followed it."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(_END_SECONDS)


def free_port() -> int:
    """A loopback port that nobody holds at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_gateway(
    config: Path | None,
    data: str,
    admin: str,
    *,
    log: Path | None = None,
    environ: Mapping[str, str] | None = None,
    directory: Path | None = None,
    descriptors: int | None = None,
) -> Iterator[GatewayProcess]:
    """Serves ``config`` (or what ``environ`` says), which must name these two addresses, until the block ends.

    Settings in the host's own environment are not the gateway's; only how it logs is. ``descriptors`` is how many each
    of its processes may have open.
    Raises ``TokenweirError`` with the log's last lines where it does not become ready.
    """
    output = log.open("wb") if log is not None else None
    limited = ["sh", "-c", f'ulimit -n {descriptors}; exec "$@"', "sh"] if descriptors else []
    process = subprocess.Popen(
        [*limited, sys.executable, "-m", "tokenweir", "serve", *(["--config", str(config)] if config else [])],
        cwd=directory,
        stdout=output,
        stderr=output,
        env={**_without_settings(os.environ), **(environ or {})},
        start_new_session=True,  # Ctrl-C at the terminal is the host's to answer
    )
    gateway = GatewayProcess(process, data, admin)
    try:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not gateway.is_ready():
            if process.poll() is not None or time.monotonic() > deadline:
                raise TokenweirError("the gateway did not become ready:\n" + _last_lines(log))
            time.sleep(0.05)
        yield gateway
    finally:
        if process.poll() is None:
            try:
                gateway.stop()
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if output is not None:
            output.close()


def _without_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Without the proxy function's variables too: a hub named there is not for a demonstration's calls."""
    settings = ("TOKENWEIR_", "AZURE_OPENAI_", "AZURE_EVENTHUB_", "OPENAI_")
    return {name: value for name, value in environ.items() if not name.startswith(settings) or name == "TOKENWEIR_LOG"}


def _last_lines(log: Path | None) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-20:]) if log is not None else "(no log was kept)"
