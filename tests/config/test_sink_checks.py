"""Sinks that cannot work are refused with the fix; secrets are never repeated."""

from pathlib import Path

import pytest

from tokenweir.config import examine, load
from tokenweir.config.dump import write

ENVIRON = {"HUB": "Endpoint=sb://x/;SharedAccessKey=hub-secret;EntityPath=h", "HOOK": "https://h/?code=hook-secret"}

GOOD = [
    ("event_hubs", 'connection_string_env = "HUB"'),
    ("event_hubs", 'connection_string_env = "HUB", endpoint = "sb://10.0.0.4:5671"'),
    ("event_hubs", 'namespace = "n.servicebus.windows.net", hub = "h", managed_identity = true, client_id = "c"'),
    ("kafka", 'servers = "a:9092", topic = "t"'),
    ("kafka", 'servers = "a:9092", topic = "t", username = "u", password_env = "HUB", tls = false'),
    ("kafka", 'connection_string_env = "HUB"'),
    ("webhook", 'url = "https://example.com/calls", secret_env = "HUB", max_event_size = "64KB"'),
    ("webhook", 'url_env = "HOOK", timeout = "5s"'),
    ("otlp", 'url = "http://127.0.0.1:4318/v1/traces", headers_env = "HUB", timeout = "5s"'),
    ("otlp", 'url_env = "HOOK"'),
    ("file", 'path = "calls.jsonl", rotate_at = "1MB", keep = 0'),
]

BAD = [
    ("event_hubs", "", "connection: needs either `connection_string_env`, or `namespace` with"),
    ("event_hubs", 'namespace = "n", connection_string_env = "HUB"', "connection: needs either"),
    ("event_hubs", 'namespace = "n", hub = "h"', "connection.managed_identity: must be true"),
    ("event_hubs", 'namespace = "n", managed_identity = true', "connection.hub: is missing"),
    ("event_hubs", 'connection_string_env = "HUB", managed_identity = true', "connection.managed_identity: belongs to"),
    ("event_hubs", 'connection_string_env = "NONE"', "connection.connection_string_env: the environment variable NONE"),
    ("kafka", 'topic = "t"', "connection: needs either `servers`"),
    ("kafka", 'servers = "a:9092"', "connection.topic: is missing"),
    ("kafka", 'servers = "a:9092", topic = "a b"', "connection.topic: cannot be a topic"),
    ("kafka", 'servers = "a:1", topic = "t", username = "u"', "connection: needs both `username`"),
    ("webhook", "", "connection: needs either `url` or `url_env`"),
    ("webhook", 'url = "example.com"', "connection.url: is not an http(s) URL"),
    ("webhook", 'url = "https://h/?code=sk-secret"', "connection.url: has a query or a user name"),
    ("webhook", 'url = "https://h/", token_env = "sk-secret"', "connection.token_env: is not a variable that is set"),
    ("webhook", 'url = "https://h/", max_event_size = 100', "connection.max_event_size: must be at least 4096"),
    ("webhook", 'url = "https://h/", timeout = 0', "connection.timeout: must be more than zero"),
    ("webhook", 'url = "https://h/", ca_bundle = "no.pem"', "connection.ca_bundle: no.pem cannot be read"),
    ("otlp", "", "connection: needs either `url` or `url_env`"),
    ("otlp", 'url = "http://collector:4318"', "connection.url: has no path; spans usually go to /v1/traces"),
    ("otlp", 'url = "http://[::1"', "connection.url: is not an http(s) URL"),
    (
        "otlp",
        'url = "http://c/v1/traces", headers_env = "NONE"',
        "connection.headers_env: the environment variable NONE",
    ),
    ("otlp", 'url = "http://c/v1/traces", secret_env = "HUB"', 'connection.secret_env: belongs to kind "webhook"'),
    ("application_insights", "", "connection.connection_string_env: the environment variable APPLICATIONINSIGHTS_"),
    (
        "application_insights",
        'connection_string_env = "NO"',
        "connection.connection_string_env: the environment variable",
    ),
    ("application_insights", 'connection_string_env = "HUB", client_id = "a"', "connection.client_id: belongs to"),
    (
        "application_insights",
        'connection_string_env = "HUB", url_env = "HOOK"',
        'connection.url_env: belongs to kind "webhook" and "otlp"',
    ),
    ("file", "", "connection.path: is missing"),
    ("file", 'path = "a", keep = -1', "connection.keep: must not be negative"),
    ("file", 'path = "a", topic = "t"', 'connection.topic: belongs to kind "kafka", and this one is "file"'),
    ("file", 'path = "a", timeout = 5', 'connection.timeout: belongs to kind "event_hubs" and "kafka" and "webhook"'),
]


def sink(kind: str, connection: str, more: str = "", name: str = "s") -> str:
    return f'[[sinks]]\nname = "{name}"\nkind = "{kind}"\nconnection = {{ {connection} }}\n{more}\n'


def problems(text: str) -> list[str]:
    Path("tokenweir.toml").write_text(text)
    return [one.removeprefix("tokenweir.toml: ") for one in examine(None, ENVIRON).problems]


@pytest.mark.parametrize(("kind", "connection"), GOOD)
def test_what_a_kind_needs_is_enough(minimal: str, kind: str, connection: str) -> None:
    assert problems(minimal + sink(kind, connection)) == []


@pytest.mark.parametrize(("kind", "connection", "problem"), BAD)
def test_what_cannot_work_is_refused_with_its_place(minimal: str, kind: str, connection: str, problem: str) -> None:
    [said] = problems(minimal + sink(kind, connection))

    assert said.startswith(f'[[sinks]] "s" {problem}')
    assert "-secret" not in said


@pytest.mark.parametrize(
    ("kind", "connection", "setting", "problem"),
    [
        (
            "otlp",
            'url_env = "HOOK"',
            'shape = "apim"',
            'shape: belongs to kind "event_hubs" and "kafka" and "webhook" and "file", and this one is "otlp"',
        ),
        ("otlp", 'url_env = "HOOK"', "cloud_events = true", 'cloud_events: belongs to kind "event_hubs" and'),
        (
            "application_insights",
            'connection_string_env = "HUB"',
            'shape = "apim"',
            'shape: belongs to kind "event_hubs" and',
        ),
        ("file", 'path = "a"', "content = true", 'content: belongs to kind "otlp", and this one is "file"'),
        ("file", 'path = "a"', 'sampler = "always_on"', 'sampler: belongs to kind "otlp", and this one is "file"'),
    ],
)
def test_what_spans_and_events_do_not_share_is_refused_for_the_other(
    minimal: str, kind: str, connection: str, setting: str, problem: str
) -> None:
    [said] = problems(minimal + sink(kind, connection, setting))
    assert said.startswith(f'[[sinks]] "s" {problem}')


def test_spans_that_will_lack_their_content_are_noted(minimal: str) -> None:
    Path("tokenweir.toml").write_text(minimal + sink("otlp", 'url_env = "HOOK"', "content = true"))
    note = 'sink "s" sends spans without prompts and answers'
    assert any(one.startswith(note) for one in load(None, ENVIRON).notes)
    assert not any(one.startswith(note) for one in load(None, ENVIRON | {"TOKENWEIR_JOURNAL__CONTENT": "full"}).notes)


def test_a_name_must_do_for_a_cursor_file(minimal: str) -> None:
    [said] = problems(minimal + sink("file", 'path = "a"', 'dead_letters = "d"', name="../x"))
    assert said.startswith('[[sinks]] "../x" name: names a cursor file, too')


def test_no_two_files_are_the_same(minimal: str) -> None:
    text = sink("file", 'path = "a"') + sink("file", 'path = "./a"', name="t") + sink("file", 'path = "b"', name="u")
    [said] = problems(minimal + text)
    assert said == '[[sinks]] "t" connection.path: is the same file as [[sinks]] "s" connection.path; give each its own'

    [said] = problems(minimal + sink("file", 'path = "a"', 'dead_letters = "a"'))
    assert said.startswith('[[sinks]] "s" dead_letters: is the same file as [[sinks]] "s" connection.path')


@pytest.mark.parametrize(
    ("connection", "shape", "note"),
    [
        ('path = "a"', "sse-proxy", 'sink "s" sends sse-proxy events without prompts and answers'),
        ('path = "a"', "apim", 'sink "s" sends apim events without prompts and answers'),
    ],
)
def test_events_that_will_lack_their_content_are_noted(minimal: str, connection: str, shape: str, note: str) -> None:
    Path("tokenweir.toml").write_text(minimal + sink("file", connection, f'shape = "{shape}"'))
    assert any(one.startswith(note) for one in load(None, {}).notes)
    assert not any(one.startswith(note) for one in load(None, {"TOKENWEIR_JOURNAL__CONTENT": "full"}).notes)


def test_calls_are_chosen_by_surfaces_and_endings_that_exist(minimal: str) -> None:
    text = sink("file", 'path = "a"', 'apis = ["chat_completion", "*"]\noutcomes = ["fine"]')
    apis, outcomes = problems(minimal + text)
    assert apis == "[[sinks]] \"s\" apis: 'chat_completion': did you mean `chat_completions`?"
    assert outcomes.startswith("[[sinks]] \"s\" outcomes: 'fine': can be completed, refused,")
    assert outcomes.endswith("or * for all")


def test_a_webhook_in_the_clear_is_noted(minimal: str) -> None:
    Path("tokenweir.toml").write_text(minimal + sink("webhook", 'url = "http://example.com/calls"'))
    assert 'sink "s" is reached without TLS: its events go in the clear' in load(None, {}).notes


def test_a_key_in_a_webhooks_url_is_not_shown(minimal: str) -> None:
    Path("tokenweir.toml").write_text(minimal + sink("webhook", 'url = "https://u:sk-secret@h/x?code=sk-secret"'))
    lines = [line.text for line in write(load(None, {}, checked=False), defaults=True)]
    assert "sk-secret" not in "\n".join(lines)
    assert any("https://****@h/x?****" in line for line in lines)
