"""What runs in a loop runs in asyncio's own."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
