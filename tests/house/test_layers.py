"""Imports go one way; `.importlinter` says which."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_imports_keep_to_the_layers() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_help_loads_nothing_but_the_options() -> None:
    """A command imports what it needs when it runs, so that help is there at once."""
    program = "import sys, tokenweir.cli; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "tokenweir.cli.stream" in loaded
    ours = {name for name in loaded if name.startswith("tokenweir.") and not name.startswith("tokenweir.cli")}
    assert ours == {"tokenweir.errors"}
    assert not {"asyncio", "hashlib", "logging", "msgspec", "rich", "ssl"} & set(loaded)


def test_a_relay_loads_no_database_and_no_admin_port() -> None:
    """It must be small, and must not fail because a database does."""
    program = "import sys, tokenweir.serve.relay; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "uvloop" in loaded
    assert not [name for name in loaded if name.startswith("tokenweir.simulator")]
    databases = {"duckdb", "psycopg", "aiokafka"}
    assert not {*databases, "starlette", "uvicorn", "prometheus_client", "typer", "openai"} & set(loaded)
