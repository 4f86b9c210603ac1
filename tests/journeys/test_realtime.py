"""The official SDKs' own WebSockets through the gateway: the simulator's ledger and ours say the same."""

import asyncio
import base64
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncAzureOpenAI, AsyncOpenAI, AzureOpenAI, OpenAI
from websockets.sync.client import connect
from websockets.sync.server import ServerConnection, serve

from support.relay_thread import KEY, RelayThread, running_relay
from tokenweir.records import CallRecord
from tokenweir.simulator import HostedSimulator, Script, SentCall

# The SDK calls it as older versions of it were called.
pytestmark = pytest.mark.filterwarnings("ignore:connect\\(\\) must be used as a context manager:DeprecationWarning")

SECOND_OF_SOUND = base64.b64encode(bytes(48_000)).decode()


def agree(records: list[CallRecord], sent: list[SentCall]) -> None:
    """Each response, and each transcription, is in both ledgers once, with the same numbers."""
    ours = {record.response_id: record for record in records if record.operation != "session"}
    theirs = {call.id: call for call in sent if call.usage_sent}
    assert ours.keys() == theirs.keys()
    for id, call in theirs.items():
        usage = ours[id].usage
        assert (usage.input_tokens, usage.output_tokens) == (call.prompt_tokens, call.completion_tokens)
        assert (usage.cached_input_tokens, usage.source) == (call.cached_tokens, "reported")


def test_a_conversation_in_text_by_the_sync_sdk(relay: RelayThread, sim: HostedSimulator) -> None:
    with OpenAI(base_url=f"{relay.url}/openai/v1", api_key=KEY) as client:
        headers = Script(output_tokens=7, cached_tokens=3).headers()
        with client.realtime.connect(model="gpt-realtime", extra_headers=headers) as connection:
            assert connection.recv().type == "session.created"
            connection.session.update(session={"type": "realtime", "output_modalities": ["text"]})
            content: list[Any] = [{"type": "input_text", "text": "Say hello to the river."}]
            connection.conversation.item.create(item={"type": "message", "role": "user", "content": content})
            for _ in range(2):
                connection.response.create()
                said = ""
                for event in connection:
                    if event.type == "response.output_text.delta":
                        said += event.delta
                    elif event.type == "response.done":
                        break
                assert said
                assert event.type == "response.done"
                assert event.response.usage is not None and event.response.usage.output_tokens == 7
    records = relay.records(3)
    agree(records, sim.calls)
    *responses, session = records
    assert {record.session_id for record in records} == {session.session_id}
    assert str(session.session_id).startswith("sess_")
    assert [record.usage.output_tokens for record in responses] == [7, 7]
    assert (session.operation, session.outcome, session.status) == ("session", "completed", 101)


def test_a_conversation_in_sound_with_what_was_heard_by_the_async_sdk(relay: RelayThread, sim: HostedSimulator) -> None:
    async def talk() -> list[str]:
        kinds: list[str] = []
        client = AsyncOpenAI(base_url=f"{relay.url}/openai/v1", api_key=KEY)
        async with client, client.realtime.connect(model="gpt-realtime") as connection:
            for model in ("gpt-4o-mini-transcribe", "whisper-1"):
                heard: Any = {"input": {"transcription": {"model": model}}}
                await connection.session.update(session={"type": "realtime", "audio": heard})
                await connection.input_audio_buffer.append(audio=SECOND_OF_SOUND)
                await connection.input_audio_buffer.commit()
            await connection.response.create()
            async for event in connection:
                kinds.append(event.type)
                if event.type == "response.done":
                    break
        return kinds

    kinds = asyncio.run(talk())
    assert kinds.count("conversation.item.input_audio_transcription.completed") == 2
    assert "response.output_audio.delta" in kinds
    by_tokens, by_time, response, _ = relay.records(4)
    assert (by_tokens.operation, by_tokens.response_model) == ("transcription", "gpt-4o-mini-transcribe")
    assert by_tokens.usage.input_audio_tokens == 10
    assert (by_time.response_model, by_time.usage.quantities["input_audio_seconds"].amount) == ("whisper-1", 1)
    assert (response.usage.input_audio_tokens, response.usage.output_audio_tokens) == (20, 48)
    assert response.deployment == "gpt-realtime"
    agree(relay.records(4), sim.calls)


@pytest.mark.parametrize("deployment", [None, "voice"])
def test_the_preview_path_by_the_azure_sdk(relay: RelayThread, sim: HostedSimulator, deployment: str | None) -> None:
    async def talk() -> None:
        async with (
            AsyncAzureOpenAI(
                azure_endpoint=relay.url,
                azure_deployment=deployment,
                api_key=KEY,
                api_version="2025-04-01-preview",
                websocket_base_url=f"{relay.url.replace('http', 'ws')}/openai",
            ) as client,
            client.realtime.connect(model="voice") as connection,
        ):
            await connection.response.create()
            async for event in connection:
                if event.type == "response.done":
                    break

    asyncio.run(talk())
    response, session = relay.records(2)
    assert (response.path, response.api_version, response.deployment) == (
        "/openai/realtime",
        "2025-04-01-preview",
        "voice",
    )
    assert session.outcome == "completed"
    agree([response, session], sim.calls)


def test_a_response_that_is_cancelled_is_recorded_with_what_it_had_used(
    relay: RelayThread, sim: HostedSimulator
) -> None:
    with OpenAI(base_url=f"{relay.url}/openai/v1", api_key=KEY) as client:
        headers = {"x-simulate": json.dumps({"output_tokens": 500, "chunk_delay": "10ms"})}
        with client.realtime.connect(model="gpt-realtime", extra_headers=headers) as connection:
            connection.response.create()
            for event in connection:
                if event.type == "response.output_audio_transcript.delta":
                    connection.response.cancel()
                    break
            for event in connection:
                if event.type == "response.done":
                    assert event.response.status == "cancelled"
                    break
            connection.response.cancel()
            for event in connection:
                if event.type == "error":
                    break
    response, session = relay.records(2)
    assert (response.finish_reasons, response.outcome) == (["client_cancelled"], "completed")
    assert 0 < response.usage.output_tokens < 2500
    agree([response, session], sim.calls)


def test_responses_over_a_websocket_have_a_record_each(relay: RelayThread, sim: HostedSimulator) -> None:
    with OpenAI(base_url=f"{relay.url}/openai/v1", api_key=KEY) as client, client.responses.connect() as connection:
        ids: list[str] = []
        for text in ("Say hello.", "And again."):
            earlier: dict[str, Any] = {"previous_response_id": ids[-1]} if ids else {}
            connection.response.create(model="gpt-5-mini", input=text, **earlier)
            for event in connection:
                if event.type == "response.completed":
                    ids.append(event.response.id)
                    break
        connection.response.create(model="gpt-5-mini", input="x", previous_response_id="resp_unknown")
        for event in connection:
            if event.type == "error":
                break
    first, second, refused, session = relay.records(4)
    agree([first, second, session], sim.calls)
    assert [record.response_id for record in (first, second)] == ids
    assert {record.api for record in (first, second, refused, session)} == {"responses"}
    assert (first.operation, first.deployment, first.requested_model) == ("responses", "gpt-5-mini", "gpt-5-mini")
    assert first.response_model == "gpt-5-mini-2025-08-07"
    assert second.usage.input_tokens > first.usage.input_tokens
    assert (refused.outcome, refused.status, refused.usage.source) == ("upstream_error", 404, "none")
    assert {record.session_id for record in (first, second, refused)} == {session.call_id}


def test_a_response_that_its_client_leaves_is_estimated(relay: RelayThread, sim: HostedSimulator) -> None:
    async def leave() -> None:
        async with AsyncOpenAI(base_url=f"{relay.url}/openai/v1", api_key=KEY) as client:
            headers = {"x-simulate": json.dumps({"output_tokens": 500, "chunk_delay": "10ms"})}
            async with client.responses.connect(extra_headers=headers) as connection:
                await connection.response.create(model="gpt-4o", input="Say hello to the river.")
                async for event in connection:
                    if event.type == "response.output_text.delta":
                        return

    asyncio.run(leave())
    records = relay.records(2)
    (response,) = [record for record in records if record.operation != "session"]
    assert (response.outcome, response.usage.source, response.usage.reason) == ("client_gone", "estimated", "cut")
    (sent,) = [call for call in sim.wait_for_calls(2) if call.prompt_tokens]
    assert response.usage.input_tokens == sent.prompt_tokens
    assert 0 < response.usage.output_tokens < 500
    assert sent.visible_tokens == sent.completion_tokens < 500


def test_a_wrong_key_is_told_as_by_any_call(relay: RelayThread) -> None:
    with (
        AzureOpenAI(
            azure_endpoint=relay.url,
            api_key="wrong",
            api_version="2025-04-01-preview",
            websocket_base_url=f"{relay.url.replace('http', 'ws')}/openai",
        ) as client,
        pytest.raises(Exception, match="401"),
        client.realtime.connect(model="voice"),
    ):
        raise AssertionError("it was let in")
    assert relay.record().error_code == "invalid_api_key"


def test_messages_that_both_ends_have_agreed_to_compress_pass_so_and_are_read_from_a_copy(tmp_path: Path) -> None:
    usage = {"total_tokens": 12, "input_tokens": 7, "output_tokens": 5}

    def play(connection: ServerConnection) -> None:
        for number, message in enumerate(connection):
            asked = json.loads(message)
            told = {"id": f"resp_{number}", "status": "completed", "usage": usage, "metadata": asked["metadata"]}
            connection.send(json.dumps({"type": "response.done", "response": told}))

    with serve(play, "127.0.0.1", 0) as upstream:
        thread = threading.Thread(target=upstream.serve_forever)
        thread.start()
        port = upstream.socket.getsockname()[1]
        with running_relay(tmp_path, f"http://127.0.0.1:{port}") as relay:
            url = f"{relay.url.replace('http', 'ws')}/openai/v1/realtime?model=m"
            with connect(url, additional_headers={"api-key": KEY}) as client:
                assert "permessage-deflate" in str(
                    client.response and client.response.headers["Sec-WebSocket-Extensions"]
                )
                for size in (10, 1000, 100_000):
                    client.send(json.dumps({"type": "response.create", "metadata": "water " * size}))
                    assert json.loads(client.recv())["response"]["metadata"] == "water " * size
            *responses, session = relay.records(4)
        upstream.shutdown()
        thread.join()
    assert [record.usage.total_tokens for record in responses] == [12, 12, 12]
    assert [record.response_id for record in responses] == ["resp_0", "resp_1", "resp_2"]
    assert session.bytes_out < 10_000  # so they were packed
