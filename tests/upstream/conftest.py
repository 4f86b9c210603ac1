"""Both event loops: asyncio's own, and uvloop, on which the relay runs."""

from typing import Any

import pytest
from hypothesis import settings

# Properties are judged by what they find, never by how long a busy machine takes.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": request.param}
