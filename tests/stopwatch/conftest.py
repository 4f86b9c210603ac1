"""A simulator, and one call to be watched."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from support.captures import capture_of
from tokenweir.records import SystemClock
from tokenweir.simulator import HostedSimulator, running_simulator
from tokenweir.stopwatch import Capture, StreamTarget, kind_of
from tokenweir.stopwatch.http import watch_http
from tokenweir.stopwatch.moments import Moment
from tokenweir.stopwatch.sdk import watch_sdk
from tokenweir.upstream import Endpoint

KEY = "tw-0123456789-secret"

Watch = Callable[..., Capture]


@pytest.fixture(scope="session")
def sim() -> Iterator[HostedSimulator]:
    with running_simulator() as simulator:
        yield simulator


def target_at(url: str, **members: Any) -> StreamTarget:
    endpoint = Endpoint.parse(url)
    usual: dict[str, Any] = {"deployment": "gpt-4o", "api_version": "2024-10-21", "api": "chat", "key": KEY}
    return StreamTarget(name="here", endpoint=endpoint, kind=kind_of(endpoint), **{**usual, **members})


@pytest.fixture(params=["http", "sdk"])
def via(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def watch(via: str) -> Watch:
    """Makes one call and gives what was seen of it, in both ways."""
    return watching(via)


def watching(via: str) -> Watch:
    def watched(url: str, *, timeout: float = 10.0, **members: Any) -> Capture:
        moments: list[Moment] = []
        call = watch_http if via == "http" else watch_sdk
        call(target_at(url, **members), "Hello", timeout=timeout, clock=SystemClock(), tell=moments.append)
        return capture_of(moments)

    return watched
