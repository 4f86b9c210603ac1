"""Transcriptions and translations with the official SDK: what the simulator says it used is what the record says."""

import io
import struct
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from openai import AzureOpenAI, BadRequestError, OpenAI

from support.relay_thread import KEY, RelayThread, running_relay
from tokenweir.deployments import DeploymentSettings, TargetSettings
from tokenweir.records import CallRecord, Quantity
from tokenweir.simulator import HostedSimulator, SentCall


def wav(seconds: float) -> io.BytesIO:
    """Silence, 16 kHz and 16 bits."""
    data = b"\0" * int(seconds * 32_000)
    head = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, 1, 1, 16000, 32000, 2, 16,
                       b"data", len(data))  # fmt: skip
    file = io.BytesIO(head + data)
    file.name = "speech.wav"
    return file


def assert_books_agree(record: CallRecord, sent: SentCall) -> None:
    assert record.usage.source == "reported"
    assert record.usage.input_tokens == sent.prompt_tokens
    assert record.usage.output_tokens == sent.completion_tokens
    assert record.upstream_request_id == sent.id
    assert (record.status, record.outcome) == (200, "completed")


def test_a_transcription_is_recorded_in_tokens(azure: AzureOpenAI, relay: RelayThread, sim: HostedSimulator) -> None:
    answer = azure.audio.transcriptions.create(model="gpt-4o-transcribe", file=wav(2.5), prompt="A weir.")
    record = relay.record()

    assert answer.usage is not None
    assert_books_agree(record, sim.calls[0])
    assert record.usage.input_audio_tokens == 25
    assert (record.api, record.operation) == ("audio_transcriptions", "audio/transcriptions")
    assert (record.deployment, record.requested_model) == ("gpt-4o-transcribe", "gpt-4o-transcribe")


def test_a_streamed_one_is_recorded_in_tokens(openai_v1: OpenAI, relay: RelayThread, sim: HostedSimulator) -> None:
    with openai_v1.audio.transcriptions.create(model="gpt-4o-transcribe", file=wav(60), stream=True) as stream:
        kinds = [event.type for event in stream]
    record = relay.record()

    assert kinds[-1] == "transcript.text.done"
    assert len(kinds) > 2
    assert_books_agree(record, sim.calls[0])
    assert record.usage.input_audio_tokens == 600
    assert record.stream
    assert record.first_token_ms is not None
    assert record.chunks == len(kinds)


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # the SDK's word on translations
@pytest.mark.parametrize("kind", ["transcriptions", "translations"])
def test_whisper_is_recorded_in_seconds(openai_v1: OpenAI, relay: RelayThread, sim: HostedSimulator, kind: str) -> None:
    getattr(openai_v1.audio, kind).create(model="whisper", file=wav(8.4))
    record = relay.record()

    assert_books_agree(record, sim.calls[0])
    assert record.usage.raw == {"type": "duration", "seconds": 9}
    assert record.usage.quantities == {"input_audio_seconds": Quantity(9)}
    assert sim.calls[0].quantities == {"input_audio_seconds": 9}
    assert record.api == f"audio_{kind}"


@pytest.mark.parametrize("form", ["text", "srt", "vtt"])
def test_a_text_has_no_usage_and_the_seconds_are_those_of_the_file(
    azure: AzureOpenAI, relay: RelayThread, form: Any
) -> None:
    answer = azure.audio.transcriptions.create(model="whisper", file=wav(1.5), response_format=form)
    record = relay.record()

    assert isinstance(answer, str)
    assert (record.usage.source, record.usage.reason) == ("estimated", "withheld")
    assert record.usage.quantities == {"input_audio_seconds": Quantity(Decimal("1.5"), "derived")}
    assert (record.outcome, record.response_body, record.request_body) == ("completed", None, None)


@pytest.fixture
def named(sim: HostedSimulator, tmp_path: Any) -> Iterator[RelayThread]:
    """A gateway whose deployment ``speech`` is called ``gpt-4o-transcribe`` behind it."""
    targets = [TargetSettings("sim", "gpt-4o-transcribe")]
    with running_relay(
        tmp_path, sim.url, deployments=[DeploymentSettings("speech", targets)], journal={"content": "full"}
    ) as relay:
        yield relay


@pytest.mark.parametrize("seconds", [1, 60])
def test_the_deployments_own_name_is_written_into_the_form(
    named: RelayThread, sim: HostedSimulator, seconds: int
) -> None:
    with OpenAI(base_url=f"{named.url}/openai/v1", api_key=KEY, max_retries=0) as client:
        client.audio.transcriptions.create(model="speech", file=wav(seconds))
    record = named.record()

    assert (record.deployment, sim.calls[0].deployment) == ("speech", "gpt-4o-transcribe")
    assert record.usage.input_audio_tokens == 10 * seconds
    assert record.request_body is None  # a sound is no text
    assert record.response_body is not None


def test_a_form_that_names_no_model_is_refused(relay: RelayThread, openai_v1: OpenAI) -> None:
    with pytest.raises(BadRequestError, match="must name a `model`"):
        openai_v1.post("/audio/transcriptions", cast_to=object, files={"file": wav(1)}, options=FORM)
    assert relay.record().outcome == "refused"


def test_what_is_no_form_is_refused(relay: RelayThread, openai_v1: OpenAI) -> None:
    with pytest.raises(BadRequestError, match="multipart/form-data"):
        openai_v1.post("/audio/transcriptions", cast_to=object, body={"model": "whisper"})
    assert relay.record().outcome == "refused"


FORM: Any = {"headers": {"Content-Type": "multipart/form-data"}}
