"""A ClickHouse of our own, from a wheel, behind its HTTP interface; each user of it gets a database of its own."""

import base64
import itertools
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest
from urllib3 import PoolManager

__all__ = ["OWNER", "READER", "ClickHouseServer", "running_clickhouse"]

OWNER = ("SELECT, INSERT, CREATE TABLE, CREATE VIEW, DROP VIEW, ALTER ADD COLUMN, ALTER UPDATE, ALTER DELETE",)
"""What docs/guides/many-relays.md says that a gateway's user needs."""
READER = ("SELECT",)

# What tests do beside the ledger.
_TESTER = (*OWNER, "CREATE DATABASE", "DROP TABLE", "SYSTEM MERGES", "DROP DATABASE", "BACKUP", "READ, WRITE ON FILE")

_USERS = """
<clickhouse>
    <profiles><default> <fsync_metadata>0</fsync_metadata> {profile} </default></profiles>
    <quotas><default/></quotas>
    <users><default>
        <password/> <networks><ip>::/0</ip></networks> <profile>default</profile> <quota>default</quota>
        <grants>{grants}</grants>
    </default></users>
</clickhouse>
"""
_BRIDGE = Path(__file__).with_name("clickhouse_bridge.py")


class ClickHouseServer:
    """Hands out addresses at which there is nothing yet. It may be stopped, killed, and started again."""

    user, password = "tokenweir", "sesame"

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._numbers = itertools.count()
        self.new_ledger: list[str] = []
        """The statements that make one, in a database that is called ``{database}`` in them."""
        self.port = 0
        self.start()

    def start(
        self, grants: Sequence[str] = _TESTER, profile: str = "", port: int = 0, certificate: Path | None = None
    ) -> None:
        """With what its user may do; on another port than before, unless one is given.

        With a certificate and its key in a file, it speaks HTTPS.
        """
        self._scheme = "clickhouse" if certificate else "clickhouse+http"
        scoped = [grant if " ON " in grant else f"{grant} ON ledger*.*" for grant in grants]
        queries = "".join(f"<query>GRANT {grant}</query>" for grant in scoped)
        (self._directory / "users.xml").write_text(_USERS.format(grants=queries, profile=profile))
        (self._directory / "config.xml").write_text(
            f"<clickhouse><users_config>{self._directory}/users.xml</users_config>"
            f"<backups><allowed_path>{self._directory}/backups/</allowed_path></backups></clickhouse>"
        )
        passwords = json.dumps({self.user: self.password})
        command = [sys.executable, str(_BRIDGE), str(self._directory), str(port), passwords]
        command += [str(certificate)] if certificate else []
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline() or 0)
        assert self.port, "the bridge to chdb has not started"

    def stop(self) -> None:
        self._process.communicate(timeout=30)

    def kill(self) -> None:
        """SIGKILL: nothing is written any more."""
        self._process.kill()
        self._process.communicate()

    def new_database(self) -> str:
        """An empty one."""
        database = f"ledger_{next(self._numbers)}"
        self.command(f"CREATE DATABASE {database}")
        return database

    def command(self, statement: str) -> None:
        """Asked by hand and in no database, because the client would first ask for two other things."""
        credentials = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        with PoolManager() as pool:
            response = pool.request(
                "POST",
                f"http://127.0.0.1:{self.port}/",
                body=statement.encode(),
                headers={"Authorization": f"Basic {credentials}"},
            )
        assert response.status == 200, response.data

    def url(self, database: str) -> str:
        return f"{self._scheme}://{self.user}:{self.password}@127.0.0.1:{self.port}/{database}"


@contextmanager
def running_clickhouse() -> Iterator[ClickHouseServer]:
    """Skips the test where none can be started."""
    if find_spec("chdb") is None:
        pytest.skip("SKIPPED LOUDLY: chdb is not installed here, so nothing is tried with ClickHouse")
    directory = Path(tempfile.mkdtemp(prefix="tokenweir-ch-"))
    try:
        server = ClickHouseServer(directory)
        try:
            yield server
        finally:
            server.kill()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
