"""Against a real model: Gemma 270M, served by llama.cpp. Protocol, usage and streaming as they really are."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from support.relay_thread import KEY, RelayThread, running_relay
from tokenweir.cli.real_model import running_model

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

QUESTION: Any = [{"role": "user", "content": "Name three colours."}]


@pytest.fixture(scope="module")
def model() -> Iterator[str]:
    pytest.importorskip("xllamacpp", reason="SKIPPED LOUDLY: xllamacpp is not installed, so no real model answers")
    with running_model() as url:
        yield url


@pytest.fixture
def relay(model: str, tmp_path: Path) -> Iterator[RelayThread]:
    with running_relay(tmp_path, model, upstream_settings={"kind": "openai"}) as running:
        yield running


def test_a_real_stream_is_metered_as_the_model_reports_it(relay: RelayThread, model: str) -> None:
    with OpenAI(base_url=f"{relay.url}/v1", api_key=KEY, max_retries=0) as client:
        with client.chat.completions.create(
            model="gemma", messages=QUESTION, max_tokens=24, temperature=0, stream=True
        ) as stream:
            chunks = list(stream)
        plain = client.chat.completions.create(model="gemma", messages=QUESTION, max_tokens=24, temperature=0)
    streamed, whole = relay.records(2)

    assert all(chunk.usage is None for chunk in chunks)
    assert plain.usage is not None
    told = (plain.usage.prompt_tokens, plain.usage.completion_tokens)
    for usage in (whole.usage, streamed.usage):
        assert (usage.source, usage.input_tokens, usage.output_tokens) == ("reported", *told)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == plain.choices[0].message.content
