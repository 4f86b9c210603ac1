"""Pictures, speech, moderations and reranking with the official SDK: what was billed is in the record, and nowhere a 0
for what nobody told."""

import base64
import io
from decimal import Decimal
from typing import Any

import pytest
from openai import AzureOpenAI, OpenAI

from support.relay_thread import RelayThread
from tokenweir.records import CallRecord, Quantity
from tokenweir.simulator import HostedSimulator, SentCall


def picture() -> io.BytesIO:
    file = io.BytesIO(b"\x89PNG\r\n\x1a\n" + bytes(64))
    file.name = "weir.png"
    return file


def amounts(record: CallRecord) -> dict[str, int | Decimal | None]:
    return {name: quantity.amount for name, quantity in record.usage.quantities.items()}


def assert_books_agree(record: CallRecord, sent: SentCall) -> None:
    assert (record.usage.input_tokens, record.usage.output_tokens) == (sent.prompt_tokens, sent.completion_tokens)
    assert amounts(record) == sent.quantities
    assert (record.api, record.upstream_request_id) == (sent.api, sent.id)
    assert (record.status, record.outcome) == (200, "completed")


def test_pictures_are_recorded_in_tokens_and_counted(
    openai_v1: OpenAI, relay: RelayThread, sim: HostedSimulator
) -> None:
    made = openai_v1.images.generate(model="gpt-image-1", prompt="a weir at dawn", n=2)
    record = relay.record()
    assert made.data is not None and len(made.data) == 2
    assert base64.b64decode(made.data[0].b64_json or "").startswith(b"\x89PNG")
    assert_books_agree(record, sim.calls[0])
    assert (record.usage.source, record.usage.output_image_tokens) == ("reported", 2112)
    assert (record.deployment, record.operation) == ("gpt-image-1", "images/generations")


def test_pictures_of_which_no_tokens_are_told_are_counted(
    azure: AzureOpenAI, relay: RelayThread, sim: HostedSimulator
) -> None:
    azure.images.generate(model="dall-e-3", prompt="a weir at dawn", n=3)
    record = relay.record()
    assert_books_agree(record, sim.calls[0])
    assert (record.usage.source, record.usage.reason) == ("estimated", "withheld")
    assert record.usage.quantities == {"images": Quantity(3, "counted")}


@pytest.mark.parametrize("verb", ["generate", "edit"])
def test_a_streamed_picture_is_recorded_like_a_whole_one(
    openai_v1: OpenAI, relay: RelayThread, sim: HostedSimulator, verb: str
) -> None:
    more: dict[str, Any] = {"image": picture()} if verb == "edit" else {}
    call = getattr(openai_v1.images, verb)
    kinds = [event.type for event in call(model="gpt-image-1", prompt="a weir", stream=True, partial_images=2, **more)]
    record = relay.record()
    kind = "image_edit" if verb == "edit" else "image_generation"
    assert kinds == [f"{kind}.partial_image"] * 2 + [f"{kind}.completed"]
    assert_books_agree(record, sim.calls[0])
    assert record.stream and record.first_token_ms is not None
    assert record.chunks == 3


def test_an_edit_is_a_form_or_json(openai_v1: OpenAI, relay: RelayThread, sim: HostedSimulator) -> None:
    openai_v1.images.edit(model="gpt-image-1", prompt="higher", image=[picture(), picture()])
    body = {"model": "gpt-image-1", "prompt": "higher", "images": [{"image_url": "https://example.com/weir.png"}]}
    openai_v1.post("/images/edits", cast_to=object, body=body)
    records = relay.records(2)
    for record, sent in zip(records, sim.calls, strict=True):
        assert_books_agree(record, sent)
        assert (record.requested_model, record.usage.input_image_tokens) == ("gpt-image-1", 300)


def test_speech_is_recorded_in_characters(azure: AzureOpenAI, relay: RelayThread, sim: HostedSimulator) -> None:
    sound = azure.audio.speech.create(model="tts-1", voice="alloy", input="Water flows downhill, naïvely.")
    record = relay.record()
    assert sound.content.startswith(b"RIFF")
    assert_books_agree(record, sim.calls[0])
    assert record.usage.quantities == {"input_characters": Quantity(30, "counted")}
    assert (record.usage.source, record.usage.reason, record.response_body) == ("estimated", "withheld", None)


def test_speech_in_events_is_recorded_in_tokens(openai_v1: OpenAI, relay: RelayThread, sim: HostedSimulator) -> None:
    with openai_v1.audio.speech.with_streaming_response.create(
        model="gpt-4o-mini-tts", voice="alloy", input="Water flows downhill.", stream_format="sse"
    ) as answer:
        events = answer.read()
    record = relay.record()
    assert b"speech.audio.done" in events
    assert_books_agree(record, sim.calls[0])
    assert record.usage.source == "reported"
    assert record.first_token_ms is not None


def test_a_moderation_is_free(openai_v1: OpenAI, relay: RelayThread, sim: HostedSimulator) -> None:
    found = openai_v1.moderations.create(input=["water", "stone"])
    record = relay.record()
    assert [result.flagged for result in found.results] == [False, False]
    assert (record.api, record.usage.source, record.usage.reason) == ("moderations", "none", None)
    assert (record.outcome, record.response_model) == ("completed", "omni-moderation-latest")
    assert sim.calls[0].api == "moderations"


def test_reranking_is_recorded_in_search_units(openai_v1: OpenAI, relay: RelayThread, sim: HostedSimulator) -> None:
    body = {"model": "cohere-rerank-v4", "query": "weir", "documents": ["river"] * 101}
    openai_v1.post("/rerank", cast_to=object, body=body)
    record = relay.record()
    assert_books_agree(record, sim.calls[0])
    assert record.usage.quantities == {"search_units": Quantity(2, "reported")}


def test_counting_the_tokens_of_a_response_is_free(openai_v1: OpenAI, relay: RelayThread) -> None:
    counted = openai_v1.responses.input_tokens.count(model="gpt-5", input="How many is this?")
    record = relay.record()
    assert counted.input_tokens > 0
    assert (record.api, record.usage.source, record.usage.reason) == ("input_tokens", "none", None)
