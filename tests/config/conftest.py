"""A working directory of its own for each test, and a file that is right."""

from pathlib import Path

import pytest

MINIMAL = """\
[[upstreams]]
name = "sweden"
endpoint = "https://sweden.openai.azure.com"
credential = { key = "sk-upstream-secret" }
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def minimal() -> str:
    """The least a gateway can start with."""
    return MINIMAL
