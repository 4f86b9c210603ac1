"""The policies for API Management: valid by Microsoft's schemas, within what expressions may use, and run for real."""

import base64
import hashlib
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import xmlschema

from support.apim_events import BODIES_LEFT_OUT_ABOVE, LoggedCall, logged_call, our_event, todays_event
from support.apim_policies import POLICIES, PolicyRunner, build_policy_runner, expressions_of, whole_policies
from support.replay import Recording
from tokenweir.delivery.sources import ApimEvents
from tokenweir.policy import Keyring

FILES = sorted(POLICIES.rglob("*.xml"))
KEY = "0123456789abcdef0123456789abcdef"
HASH = "sha256:" + hashlib.sha256(KEY.encode()).hexdigest()
CHAT = '{"messages":[{"role":"user","content":"Say hi."}]}'
STREAMED_CHAT = '{"messages":[{"role":"user","content":"Say hi."}],"stream":true}\n'
USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
ANSWER = json.dumps({"model": "gpt-4o-2024-11-20", "choices": [], "usage": USAGE})
JSON = {"Content-Type": "application/json"}
SSE = {"Content-Type": "text/event-stream; charset=utf-8"}
OK = {"status": 200, "headers": JSON | {"x-ms-region": "Sweden Central"}, "body": ANSWER}

# What the document "API Management policy expressions" lists of .NET, as far as our expressions use it: None means all
# members. Written as compiled: `get_UtcNow` is the property UtcNow.
ALLOWED: dict[str, set[str] | None] = {
    "Newtonsoft.Json.Linq.JObject": None,
    "Newtonsoft.Json.Linq.JToken": None,
    "System.Array": None,
    "System.BitConverter": None,
    "System.Collections.Generic.List`1": None,
    "System.DateTime": {"Subtract", "ToString", "get_UtcNow"},
    "System.Nullable`1": None,
    "System.Security.Cryptography.HashAlgorithm": None,
    "System.Security.Cryptography.SHA256": None,
    "System.String": None,
    "System.Text.Encoding": None,
    "System.TimeSpan": None,
}
# What the compiler itself writes for `using`, `foreach`, and the ToString of a Guid.
OF_THE_COMPILER = {
    "System.Collections.Generic.List`1+Enumerator",
    "System.IDisposable",
    "System.Object",
    "System.Runtime.CompilerServices.RuntimeCompatibilityAttribute",
}
CONTEXT = {
    "Body",
    "Claims",
    "Context",
    "Conversions",
    "Headers",
    "Jwt",
    "Product",
    "Request",
    "Response",
    "Subscription",
}
CONTEXT |= {"Url", "Variables"}


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> PolicyRunner:
    return build_policy_runner(tmp_path_factory.mktemp("policies"))


@pytest.fixture(scope="module")
def schema(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> xmlschema.XMLSchema10:
    """Microsoft's schemas, with .NET's way to write a character turned into XML's."""
    if not (shared / "apim-policy-schemas").is_dir():
        pytest.skip("SKIPPED LOUDLY: no schemas of policies in the shared folder, so they are not validated")
    folder = tmp_path_factory.mktemp("schemas")
    for path in (shared / "apim-policy-schemas").glob("*.xsd"):
        written = re.sub(r"\\x([0-9A-Fa-f]{2})", r"&#x\1;", path.read_text("utf-8-sig"))
        (folder / path.name).write_text(written)
    return xmlschema.XMLSchema10(folder / "policies.xsd", validation="lax")


def a_call(policy: str = "policy-meter.xml", **members: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {
        "policy": policy,
        "url": "https://contoso.azure-api.net/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21",
        "headers": JSON | {"Ocp-Apim-Subscription-Key": KEY, "api-key": KEY},
        "body": CHAT,
        "requestId": LoggedCall.request_id,
        "elapsedMs": 1206,
        "subscription": {"id": "team-a", "key": KEY},
        "product": "OpenAI",
        "answers": [OK],
    }
    return usual | members


def event_of(outcome: dict[str, Any]) -> dict[str, Any]:
    (text,) = outcome["logged"]
    event: dict[str, Any] = json.loads(text)
    return event


# Written well


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_statement_is_valid_by_microsofts_schema(path: Path, schema: xmlschema.XMLSchema10) -> None:
    # API Management puts named values in before it reads the policy.
    root = ElementTree.fromstring(re.sub(r"\{\{[\w-]+\}\}", "1000", path.read_text()))
    errors = list(schema.iter_errors(root)) if root.tag == "policies" else []
    # What stands inside a section, a fragment, a choice or a retry is validated by itself: the schema skips it.
    for parent in root.iter():
        if parent.tag in ("fragment", "inbound", "backend", "outbound", "on-error", "when", "otherwise", "retry"):
            for statement in parent:
                if statement.tag != "base":
                    errors += schema.elements[statement.tag].iter_errors(statement)
    assert [(error.path, error.reason) for error in errors] == []


def test_the_schema_would_tell_of_a_mistake(schema: xmlschema.XMLSchema10) -> None:
    written = (POLICIES / "policy-meter.xml").read_text().replace("estimate-prompt-tokens", "estimate-prompts")
    assert list(schema.iter_errors(ElementTree.fromstring(written)))


def test_no_expression_in_an_attribute_has_a_comment() -> None:
    # An XML reader makes one line of an attribute, and a comment would swallow the rest of it.
    for root in whole_policies().values():
        for element in root.iter():
            for value in element.attrib.values():
                assert not (value.startswith("@{") and "//" in value)


def test_expressions_use_only_what_api_management_allows(runner: PolicyRunner) -> None:
    for type_, member in runner.members():
        if type_ not in CONTEXT | OF_THE_COMPILER:
            allowed = ALLOWED[type_]
            assert allowed is None or member in allowed, f"{type_}.{member}"


def test_the_named_values_are_the_documented_ones() -> None:
    written = "".join(path.read_text() for path in FILES)
    named = set(re.findall(r"\{\{([\w-]+)\}\}", written))
    assert named == {"apim-mi-clientId", "tokens-per-minute", "tokens-per-month"}
    assert all(f"`{name}`" in (POLICIES / "README.md").read_text() for name in named)


def test_no_fragment_includes_another_as_api_management_forbids() -> None:
    for path in (POLICIES / "fragments").glob("*.xml"):
        assert "include-fragment" not in path.read_text()
        assert expressions_of(ElementTree.parse(path).getroot())


# What a call becomes


def test_an_event_begins_with_todays_five_fields(runner: PolicyRunner) -> None:
    event = event_of(runner.run([a_call()])[0])

    assert list(event)[:5] == list(json.loads(todays_event(LoggedCall())))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z", event["eventTime"])
    ended = datetime.fromisoformat(event["eventTime"])
    assert ended - datetime.fromisoformat(event["startedAt"]) == timedelta(milliseconds=1206)
    assert abs(datetime.now(UTC) - ended) < timedelta(minutes=10)
    assert (event["request"], event["response"], event["usage"]) == (CHAT, ANSWER, USAGE)


def test_the_key_itself_reaches_neither_the_hub_nor_azure_openai(runner: PolicyRunner) -> None:
    url = a_call()["url"] + "&subscription-key=" + KEY
    outcome = runner.run([a_call(url=url)])[0]

    assert event_of(outcome)["appSubscriptionKey"] == HASH
    assert KEY not in outcome["logged"][0]
    assert KEY not in json.dumps(outcome["sent"])
    assert outcome["sent"][0]["headers"]["Authorization"].startswith("Bearer")


def test_a_stream_goes_through_tokenweir_untouched_and_is_not_logged_twice(runner: PolicyRunner) -> None:
    stream = {"status": 200, "headers": SSE, "body": "data: [DONE]\n\n"}
    outcome = runner.run([a_call(body=STREAMED_CHAT, answers=[stream])])[0]

    (sent,) = outcome["sent"]
    assert (sent["backend"], sent["buffersResponse"], sent["body"]) == ("tokenweir", False, STREAMED_CHAT)
    assert sent["headers"]["Ocp-Apim-Subscription-Key"] == KEY
    assert "api-key" not in sent["headers"]
    assert outcome["bodyWasRead"] is False
    assert outcome["logged"] == []
    assert outcome["headers"]["x-ms-stream"] == "True"


@pytest.mark.parametrize("body", ["null", "[]", '{"stream":"true"}', '{"stream":null}', '{"stream":true', "", None])
def test_what_is_no_stream_is_none(runner: PolicyRunner, body: str | None) -> None:
    outcome = runner.run([a_call(body=body)])[0]
    assert outcome["sent"][0]["backend"] == "openai-pool"
    assert event_of(outcome)["stream"] is False


@pytest.mark.parametrize("status", [429, 503])
def test_another_member_of_the_pool_is_tried_at_once(runner: PolicyRunner, status: int) -> None:
    outcome = runner.run([a_call(answers=[{"status": status}, {"status": status}, OK])])[0]

    assert [sent["backend"] for sent in outcome["sent"]] == ["openai-pool"] * 3
    assert {sent["body"] for sent in outcome["sent"]} == {CHAT}
    assert event_of(outcome)["status"] == 200


def test_a_pool_without_anybody_left_is_asked_once(runner: PolicyRunner) -> None:
    nobody = {"status": 503, "reason": "Backend pool openai-pool is temporarily unavailable"}
    outcome = runner.run([a_call(answers=[nobody])])[0]
    assert event_of(outcome)["status"] == 503


def test_tokenweirs_own_refusal_is_not_asked_for_again(runner: PolicyRunner) -> None:
    outcome = runner.run([a_call(body=STREAMED_CHAT, answers=[{"status": 429, "headers": JSON, "body": "{}"}])])[0]
    assert (outcome["status"], len(outcome["sent"]), outcome["logged"]) == (429, 1, [])


def test_errors_of_azure_openai_are_logged_with_their_text(runner: PolicyRunner) -> None:
    error = '{"error":{"code":"content_filter","message":"The response was filtered."}}'
    outcome = runner.run([a_call(answers=[{"status": 400, "headers": JSON, "body": error}])])[0]
    event = event_of(outcome)
    assert (event["status"], event["response"], event["usage"]) == (400, error, None)


def test_a_call_over_its_token_limit_is_logged(runner: PolicyRunner) -> None:
    outcome = runner.run([a_call(overLimit=True)])[0]
    event = event_of(outcome)
    assert (event["status"], event["appSubscriptionKey"], event["response"]) == (429, HASH, None)
    assert outcome["sent"] == []


@pytest.mark.parametrize("body", [CHAT, STREAMED_CHAT])
def test_a_backend_out_of_reach_is_logged(runner: PolicyRunner, body: str) -> None:
    outcome = runner.run([a_call(body=body, answers=[{"error": "BackendConnectionFailure", "status": None}])])[0]
    event = event_of(outcome)
    assert (event["status"], event["usage"], event["stream"]) == (None, None, body == STREAMED_CHAT)


def test_a_stranger_cannot_fill_the_hub(runner: PolicyRunner) -> None:
    outcome = runner.run([a_call(subscription=None)])[0]
    assert (outcome["status"], outcome["logged"], outcome["sent"]) == (401, [], [])


def test_an_upload_is_not_read(runner: PolicyRunner) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    url = "https://contoso.azure-api.net/openai/deployments/whisper/audio/transcriptions?api-version=2024-10-21"
    event = event_of(runner.run([a_call(url=url, headers=headers, body="--x\r\n")])[0])
    assert (event["request"], event["apiOperation"], event["deployment"]) == (None, "", "whisper")


def test_a_stream_that_nobody_announced_still_passes_unread(runner: PolicyRunner) -> None:
    outcome = runner.run([a_call(answers=[{"status": 200, "headers": SSE, "body": "data: 1\n\n"}])])[0]
    assert outcome["bodyWasRead"] is False
    assert event_of(outcome)["response"] is None


@pytest.mark.parametrize(
    ("tail", "operation"),
    [
        ("deployments/d/chat/completions", "ChatCompletion"),
        ("deployments/d/completions", "TextCompletion"),
        ("deployments/d/embeddings", "Embeddings"),
        ("responses", "Response"),
        ("v1/chat/completions", "ChatCompletion"),
        ("v1/models", ""),
    ],
)
def test_the_operation_is_told_from_the_path(runner: PolicyRunner, tail: str, operation: str) -> None:
    body = '{"model":"d"}'
    event = event_of(runner.run([a_call(url=f"https://contoso.azure-api.net/openai/{tail}", body=body)])[0])
    assert (event["apiOperation"], event["deployment"]) == (operation, "d")


@pytest.mark.parametrize("letter", ["x", "ü", "語", "😀"])
def test_bodies_are_left_out_where_the_event_would_be_cut_off(runner: PolicyRunner, letter: str) -> None:
    def answer(length: int) -> dict[str, Any]:
        text = letter * (length // len(letter.encode()))
        return OK | {"body": json.dumps({"model": "m", "text": text, "usage": USAGE}, ensure_ascii=False)}

    room = BODIES_LEFT_OUT_ABOVE - 1_500
    small, large = runner.run([a_call(answers=[answer(room)]), a_call(answers=[answer(room + 3_000)])])

    assert len(small["logged"][0].encode()) <= BODIES_LEFT_OUT_ABOVE
    assert event_of(small)["bodies"] == "whole"
    event = event_of(large)
    assert (event["bodies"], event["request"], event["response"]) == ("left out", None, None)
    assert (event["model"], event["usage"]) == ("m", USAGE)
    assert json.loads(large["body"])["model"] == "m"


# Without a Tokenweir gateway


def test_a_buffered_stream_is_asked_for_its_usage_and_logged_whole(runner: PolicyRunner) -> None:
    policy = "policy-meter-buffering-streams.xml"
    chunk = {"model": "gpt-4o", "choices": [], "usage": USAGE}
    text = f'data: {{"choices":[],"usage":null}}\n\ndata: {json.dumps(chunk)}\n\ndata: [DONE]\n\n'
    stream = {"status": 200, "headers": SSE, "body": text}
    outcome = runner.run([a_call(policy, body=STREAMED_CHAT, answers=[stream])])[0]

    (sent,) = outcome["sent"]
    assert sent["body"] == STREAMED_CHAT.rstrip()[:-1] + ',"stream_options":{"include_usage":true}}'
    event = event_of(outcome)
    assert (event["request"], event["response"]) == (STREAMED_CHAT, text)
    assert (event["usage"], event["model"], event["stream"]) == (USAGE, "gpt-4o", True)


def test_a_client_that_chose_its_stream_options_keeps_them(runner: PolicyRunner) -> None:
    body = '{"stream":true,"stream_options":{"include_usage":false}}'
    outcome = runner.run([a_call("policy-meter-buffering-streams.xml", body=body)])[0]
    assert outcome["sent"][0]["body"] == body


# In front of a Tokenweir gateway


@pytest.mark.parametrize("body", [CHAT, STREAMED_CHAT])
def test_the_gateway_gets_every_call_with_its_callers_key(runner: PolicyRunner, body: str) -> None:
    outcome = runner.run([a_call("policy-gateway.xml", body=body)])[0]

    (sent,) = outcome["sent"]
    assert (sent["backend"], sent["body"], sent["buffersResponse"]) == ("tokenweir", body, False)
    assert sent["headers"]["Ocp-Apim-Subscription-Key"] == KEY
    assert (outcome["bodyWasRead"], outcome["logged"]) == (False, [])


# Recorded calls


def answer_of(recording: Recording) -> dict[str, Any]:
    headers = SSE if recording.entry["streaming"] else JSON
    region = logged_call(recording).region
    if region is not None:
        headers = headers | {"x-ms-region": region}
    return {"status": recording.status, "headers": headers, "body": recording.body.decode()}


def test_every_recorded_call_is_logged_as_the_tests_of_the_meter_have_it(shared: Path, runner: PolicyRunner) -> None:
    folder = shared / "recorded"
    entries = [json.loads(line) for line in (folder / "index.jsonl").read_text().splitlines()]
    recordings = [Recording(folder, entry) for entry in entries if entry["endpoint"] != "realtime"]
    calls = [logged_call(recording) for recording in recordings]
    outcomes = runner.run(
        a_call(
            "policy-meter-buffering-streams.xml",
            url=call.url,
            body=call.request,
            answers=[answer_of(recording)] * 3,  # a recorded 429 is asked for again
        )
        for call, recording in zip(calls, recordings, strict=True)
    )

    assert len(outcomes) > 1000
    left_out = 0
    for outcome, call, recording in zip(outcomes, calls, recordings, strict=True):
        logged, expected = event_of(outcome), json.loads(our_event(call))
        left_out += logged["bodies"] == "left out"
        for moment in ("eventTime", "startedAt"):
            del logged[moment], expected[moment]
        assert list(logged.items()) == list(expected.items()), recording.name
    assert left_out > 0


# Who used a key


def bearer(**claims: Any) -> dict[str, str]:
    parts = [{"alg": "none", "typ": "JWT"}, claims]
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return {"Authorization": "Bearer " + ".".join([*encoded, "c2lnbmF0dXJl"])}


@pytest.mark.parametrize(
    ("claims", "identity"),
    [
        ({"azp": "app-1", "oid": "person-1", "scp": "chat"}, {"application": "app-1", "user": "person-1"}),
        ({"appid": "app-2", "oid": "principal-2", "roles": ["x"]}, {"application": "app-2", "user": None}),
    ],
)
def test_the_event_names_whose_token_came_and_says_that_nobody_validated_it(
    runner: PolicyRunner, claims: dict[str, Any], identity: dict[str, Any]
) -> None:
    call = a_call(headers=JSON | {"Ocp-Apim-Subscription-Key": KEY} | bearer(**claims))
    [outcome] = runner.run([call])
    event = event_of(outcome)
    assert event["identity"] == identity | {"validated": False}
    record = ApimEvents(Keyring([], [])).decode(json.dumps(event).encode())
    assert (record.application, record.subject, record.identity_source) == (*identity.values(), "token")
    event["identity"]["validated"] = True
    assert ApimEvents(Keyring([], [])).decode(json.dumps(event).encode()).identity_source == "validated_token"


@pytest.mark.parametrize("header", ["Bearer no-token", "Bearer a.b.c", "Basic eyJ", ""])
def test_a_header_that_is_no_token_names_nobody(runner: PolicyRunner, header: str) -> None:
    [outcome] = runner.run([a_call(headers=JSON | {"Ocp-Apim-Subscription-Key": KEY, "Authorization": header})])
    assert event_of(outcome)["identity"] is None
