"""What a Foundry resource serves beside Azure OpenAI's own paths, with the official SDK and a base URL of Foundry's."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from openai import OpenAI

from support.relay_thread import KEY, RelayThread, running_relay
from tokenweir.deployments import DeploymentSettings, TargetSettings
from tokenweir.records import Quantity
from tokenweir.simulator import HostedSimulator

HELLO: Any = [{"role": "user", "content": "Where does the water go?"}]
At = Callable[[str], OpenAI]


@pytest.fixture
def at(relay: RelayThread) -> Iterator[At]:
    """A client with this base URL."""
    with ExitStack() as stack:
        yield lambda base: stack.enter_context(OpenAI(base_url=f"{relay.url}{base}", api_key=KEY, max_retries=0))


@pytest.mark.parametrize("base", ["/models", "/api/projects/weir/openai/v1"])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_chat_is_metered_at_every_address(
    at: At, relay: RelayThread, sim: HostedSimulator, base: str, streamed: bool
) -> None:
    answer = at(base).chat.completions.create(model="gpt-5", messages=HELLO, stream=streamed)
    if streamed:
        assert all(not chunk.usage for chunk in answer), "nobody asked for a usage"  # type: ignore[union-attr]
    record = relay.record()
    sent = sim.calls[0]
    assert (record.usage.source, record.usage.input_tokens) == ("reported", sent.prompt_tokens)
    assert record.usage.output_tokens == sent.completion_tokens
    assert (record.api, record.deployment, record.path) == ("chat_completions", "gpt-5", f"{base}/chat/completions")
    assert sent.path.startswith(base)


def test_an_agent_is_called_by_its_path(at: At, relay: RelayThread, sim: HostedSimulator) -> None:
    base = "/api/projects/weir/agents/keeper/endpoint/protocols/openai"
    at(base).responses.create(model="gpt-5", input="How high is the water?")
    record = relay.record()
    assert (record.api, record.usage.source) == ("responses", "reported")
    assert record.usage.output_tokens == sim.calls[0].completion_tokens


@pytest.mark.parametrize("path", ["/mai/v1/images/generations", "/providers/blackforestlabs/v1/flux-2-pro"])
def test_pictures_of_partners_are_counted(relay: RelayThread, sim: HostedSimulator, path: str) -> None:
    body = {"model": "MAI-Image-2", "prompt": "a weir", "n": 2}
    answer = httpx.post(f"{relay.url}{path}?api-version=preview", json=body, headers={"api-key": KEY})
    record = relay.record()
    assert answer.status_code == 200
    assert (record.api, record.path, record.deployment) == ("images_generations", path, "MAI-Image-2")
    assert record.usage.quantities == {"images": Quantity(2, "counted")}
    assert record.api_version == "preview"


def test_what_a_router_passed_on_has_its_fee(sim: HostedSimulator, tmp_path: Any) -> None:
    target = TargetSettings("sim", "router-2", model="model-router-2026-09-01")
    with (
        running_relay(tmp_path, sim.url, deployments=[DeploymentSettings("smart", [target])]) as relay,
        OpenAI(base_url=f"{relay.url}/openai/v1", api_key=KEY, max_retries=0) as client,
    ):
        client.chat.completions.create(
            model="smart", messages=HELLO, extra_headers={"x-simulate": '{"model": "gpt-5-mini-2025-08-07"}'}
        )
        record = relay.record()
    assert (record.requested_model, record.response_model) == ("smart", "gpt-5-mini-2025-08-07")
    assert record.usage.quantities == {"routed_tokens": Quantity(record.usage.input_tokens, "derived")}
    assert record.usage.input_tokens == sim.calls[0].prompt_tokens > 0


def test_a_model_needs_no_deployment(at: At, relay: RelayThread) -> None:
    """An instant model is called by its own name."""
    at("/openai/v1").responses.create(model="grok-5", input="Hi")
    assert (relay.record().deployment, relay.records(1)[0].usage.source) == ("grok-5", "reported")
