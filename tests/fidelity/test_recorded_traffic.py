"""Recorded answers of OpenAI and Azure OpenAI through the gateway: bodies byte for byte, usage to the token."""

import http.client
import json
from pathlib import Path

import pytest

from support.relay_thread import HOSTS, KEY, Host, running_relay
from support.replay import Recording, replaying_upstream
from tokenweir.records import CallRecord

METERED = {"audio/transcriptions", "chat/completions", "completions", "embeddings", "responses"}


def load(shared: Path) -> dict[str, Recording]:
    folder = shared / "recorded"
    entries = [json.loads(line) for line in (folder / "index.jsonl").read_text().splitlines()]
    return {entry["file"]: Recording(folder, entry) for entry in entries if entry["endpoint"] != "realtime"}


def call(connection: http.client.HTTPConnection, recording: Recording) -> tuple[int, dict[str, str], bytes]:
    kind = recording.request_type if recording.is_form else "application/json"
    headers = {"api-key": KEY, "content-type": kind, "x-recording": recording.name}
    connection.request("POST", recording.path, recording.request, headers)
    answer = connection.getresponse()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


@pytest.mark.parametrize("host", HOSTS)
def test_every_recorded_answer_passes_unchanged_and_is_metered_exactly(
    shared: Path, tmp_path: Path, host: Host
) -> None:
    recordings = load(shared)
    ids: dict[str, str] = {}
    with replaying_upstream(recordings) as url, running_relay(tmp_path, url, host=host) as relay:
        connection = http.client.HTTPConnection(*relay.address)
        for name, recording in recordings.items():
            status, headers, body = call(connection, recording)
            if recording.status == 401:  # of whoever recorded it; here it would be the gateway's key that is refused
                assert (status, json.loads(body)["error"]["code"]) == (502, "upstream_refused_credential"), name
                ids[headers["x-tokenweir-call-id"]] = name
                continue
            assert status == recording.status, name
            assert body == recording.body, name
            for field, value in recording.headers.items():
                if field.lower() in ("x-ms-region", "apim-request-id", "openai-processing-ms", "retry-after"):
                    assert headers[field.lower()] == value, name
            ids[headers["x-tokenweir-call-id"]] = name
        connection.close()
        records = {ids[record.call_id]: record for record in relay.records(len(recordings))}

    assert len(records) == len(recordings) > 1000
    metered = 0
    for name, recording in recordings.items():
        if recording.entry["endpoint"] in METERED and recording.entry["has_usage"]:
            assert_usage(records[name], recording)
            metered += 1
    assert metered > 900


def assert_usage(record: CallRecord, recording: Recording) -> None:
    usage = recording.entry["usage"]
    name = recording.name
    if usage.get("type") != "duration" and not usage["total_tokens"]:  # one has zeros beside its text
        assert (record.usage.source, record.usage.reason) == ("estimated", "withheld"), name
        return
    assert record.usage.source == "reported", name
    if usage.get("type") == "duration":
        assert (record.usage.raw, record.usage.total_tokens) == (usage, 0), name
        return
    of_input, of_output = "prompt_tokens", "completion_tokens"
    if recording.entry["endpoint"] in ("audio/transcriptions", "responses"):
        of_input, of_output = "input_tokens", "output_tokens"
    details = usage.get(f"{of_input}_details") or {}
    output_details = usage.get(f"{of_output}_details") or {}
    assert record.usage.input_tokens == usage[of_input], name
    assert record.usage.output_tokens == (usage.get(of_output) or 0), name
    assert record.usage.total_tokens == usage["total_tokens"], name
    assert record.usage.cached_input_tokens == (details.get("cached_tokens") or 0), name
    assert record.usage.reasoning_tokens == (output_details.get("reasoning_tokens") or 0), name


@pytest.mark.parametrize("host", HOSTS)
def test_the_same_call_direct_and_through_the_gateway_differs_in_two_headers_only(
    shared: Path, tmp_path: Path, host: Host
) -> None:
    recordings = load(shared)
    name, recording = next((n, r) for n, r in recordings.items() if r.entry["api"] == "azure" and r.status == 200)
    with replaying_upstream(recordings) as url, running_relay(tmp_path, url, host=host) as relay:
        direct = http.client.HTTPConnection(url.removeprefix("http://"))
        through = http.client.HTTPConnection(*relay.address)
        _, plain, _ = call(direct, recording)
        _, relayed, _ = call(through, recording)
        direct.close()
        through.close()
    framing = {"content-length", "transfer-encoding"}

    assert set(relayed) - set(plain) - framing == {"x-ms-stream", "x-tokenweir-call-id"}, name
    assert {field: relayed[field] for field in plain if field not in framing} == {
        field: value for field, value in plain.items() if field not in framing
    }
