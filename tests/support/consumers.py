"""`tokenweir consume` as processes of their own, from a topic into a ledger."""

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from .kafka_broker import Broker

__all__ = ["ConsumerProcess", "intake_config"]

_numbers = itertools.count()


def intake_config(folder: Path, broker: Broker, topic: str, ledger_url: str) -> Path:
    """A configuration that says from where to where, and nothing else. Each topic has a group of its own."""
    file = folder / "consume.toml"
    file.write_text(
        f'''
[ledger]
url = "{ledger_url}"

[intake]
kind = "kafka"
servers = "{broker.servers}"
topic = "{topic}"
group = "group-of-{topic}"
tls = false
session_timeout = "1s"
dead_letters = "{folder}/dead-letters.jsonl"
'''
    )
    return file


class ConsumerProcess:
    """One consumer, which has been started."""

    def __init__(self, config: Path, environ: Mapping[str, str] | None = None, *options: str) -> None:
        command = [sys.executable, "-m", "tokenweir", "consume", "--config", str(config), *options]
        self._log = config.with_name(f"consumer-{next(_numbers)}.log")
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stderr=log, env={**os.environ, **(environ or {})})

    def kill(self) -> None:
        """SIGKILL, at once, if it is still there."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> str:
        """SIGTERM, once it consumes; what it logged, when it has ended well."""
        while " into " not in self._said() and self._process.poll() is None:
            pass
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(timeout=30)
        assert code == 0, self._said()
        return self._said()

    def _said(self) -> str:
        return self._log.read_text()
