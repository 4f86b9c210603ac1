"""File and environment become one configuration; whatever is wrong with them is said in full."""

from pathlib import Path

import pytest

from tokenweir.config import Config, InvalidConfig, examine, load
from tokenweir.delivery.sinks import EventHubsConnection
from tokenweir.errors import ConfigError
from tokenweir.records import Duration, Size

FULL = """\
[server]
data = "0.0.0.0:8080"
relays = 2
max_body = "10MB"
request_timeout = "1m30s"
keep_alive = 20

[journal]
durability = "strict"

[[upstreams]]
name = "sweden"
endpoint = "https://sweden.openai.azure.com"
credential = { key_env = "AZURE_OPENAI_KEY" }
idle_timeout = "90s"

[[deployments]]
name = "gpt-4o"
targets = [
  { upstream = "sweden", deployment = "gpt-4o-ptu", sku = "ptu", priority = 1 },
  { upstream = "sweden", weight = 3 },
]

[[callers]]
name = "team-a"
key_sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
tags = { cost_centre = "4711" }
"""


def problems(path: Path | None, environ: dict[str, str]) -> list[str]:
    with pytest.raises(InvalidConfig) as caught:
        load(path, environ)
    return caught.value.problems


def written(here: Path, text: str) -> Path:
    file = here / "my.toml"
    file.write_text(text)
    return Path("my.toml")


def test_a_whole_file_is_read_with_units_and_lists(here: Path) -> None:
    loaded = load(written(here, FULL), {"AZURE_OPENAI_KEY": "k"})
    config = loaded.config
    assert loaded.source == Path("my.toml")
    assert (config.server.data, config.server.relays) == ("0.0.0.0:8080", 2)
    assert config.server.max_body == Size(10 * 1024**2)
    assert (config.server.request_timeout, config.server.keep_alive) == (Duration(90), Duration(20))
    assert config.journal.durability == "strict"
    assert config.upstreams[0].credential.key_env == "AZURE_OPENAI_KEY"
    assert config.upstreams[0].idle_timeout == Duration(90)
    assert [target.deployment for target in config.deployments[0].targets] == ["gpt-4o-ptu", None]
    assert config.callers[0].tags == {"cost_centre": "4711"}
    assert loaded.problems == []


def test_tokenweir_toml_in_the_working_directory_is_found(here: Path, minimal: str) -> None:
    (here / "tokenweir.toml").write_text(minimal)
    assert load(None, {}).source == Path("tokenweir.toml")


def test_a_file_that_was_asked_for_must_be_there() -> None:
    with pytest.raises(ConfigError, match=r"missing\.toml cannot be read: No such file"):
        load(Path("missing.toml"), {})


def test_a_file_that_is_not_toml_is_refused_with_the_line(here: Path) -> None:
    with pytest.raises(ConfigError, match=r"my\.toml is not TOML: .*line 2"):
        load(written(here, "[server]\ndata = \n"), {})


def test_a_file_that_is_not_text_is_refused(here: Path) -> None:
    (here / "my.toml").write_bytes(b"[server]\n# \xff\n")
    with pytest.raises(ConfigError, match=r"my\.toml is not a text in UTF-8 \(byte 11\)"):
        load(Path("my.toml"), {})


def test_a_variable_wins_over_the_file(here: Path, minimal: str) -> None:
    file = written(here, minimal + '[server]\ndata = "127.0.0.1:1111"\n')
    loaded = load(file, {"TOKENWEIR_SERVER__DATA": "127.0.0.1:2222", "TOKENWEIR_JOURNAL__DURABILITY": "strict"})
    assert loaded.config.server.data == "127.0.0.1:2222"
    assert loaded.config.journal.durability == "strict"
    assert loaded.origins.of(("server", "data")) == "TOKENWEIR_SERVER__DATA"
    assert loaded.origins.of(("upstreams",)) == "my.toml"
    assert loaded.origins.of(("server", "admin")) is None


def test_every_kind_of_value_can_come_from_a_variable(here: Path, minimal: str) -> None:
    environ = {
        "TOKENWEIR_SERVER__RELAYS": "3",
        "TOKENWEIR_SERVER__KEEP_ALIVE": "20",
        "TOKENWEIR_SERVER__DRAIN_TIME": "1m30s",
        "TOKENWEIR_SERVER__MAX_BODY": "10MB",
        "TOKENWEIR_SERVER__ADMIN_TOKEN": "12345",
        "TOKENWEIR_CALLERS": '[{"name": "team-a", "tags": {"a": "b"}}]',
    }
    config = load(written(here, minimal), environ).config
    server = config.server
    assert (server.relays, server.keep_alive, server.drain_time, server.max_body) == (
        3,
        Duration(20),
        Duration(90),
        Size(10 * 1024**2),
    )
    assert server.admin_token == "12345"
    assert config.callers[0].tags == {"a": "b"}


def test_an_empty_variable_counts_as_not_set(here: Path, minimal: str) -> None:
    environ = {"TOKENWEIR_SERVER__ADMIN_TOKEN": "", "TOKENWEIR_SERVER__DATA": "", "TOKENWEIR_CALLERS": ""}
    assert load(written(here, minimal), environ).config == load(Path("my.toml"), {}).config


def test_variables_alone_are_enough() -> None:
    upstreams = '[{"name": "a", "endpoint": "http://127.0.0.1:9", "credential": {"pass_through": true}}]'
    loaded = load(None, {"TOKENWEIR_UPSTREAMS": upstreams})
    assert loaded.source is None
    assert loaded.config.upstreams[0].credential.pass_through


def test_all_mistakes_are_said_at_once_with_their_places(here: Path, minimal: str) -> None:
    text = minimal + (
        '[server]\ndatta = "x"\nrelays = "two"\nmax_body = true\nkeep_alive = "soon"\n'
        '[journal]\ndurability = "strickt"\n[tracing]\nsample = "much"\n'
        '[[callers]]\nname = "a"\ntags = { cost_centre = 4711 }\n'
        '[[deployments]]\ntargets = [{ upstrem = "sweden" }]\n'
        "[zzz]\n"
    )
    assert problems(written(here, text), {"TOKENWEIR_SERVER__ADMIN_TOKN": "x"}) == [
        "TOKENWEIR_SERVER__ADMIN_TOKN: did you mean `TOKENWEIR_SERVER__ADMIN_TOKEN`?",
        f"my.toml: [zzz]: not a setting; here can be {', '.join(Config.__struct_fields__)}",
        "my.toml: [server] datta: did you mean `data`?",
        "my.toml: [server] relays: expected a whole number, got the text 'two'",
        "my.toml: [server] max_body: expected a size like 65536, 64KB, 10MB or 1.5GB, got true",
        "my.toml: [server] keep_alive: expected a duration like 500ms, 30s, 1m30s or 7d, got the text 'soon'",
        'my.toml: [journal] durability: expected one of "batch", "strict", "shipped", got the text \'strickt\'',
        "my.toml: [tracing] sample: expected a number, got the text 'much'",
        'my.toml: [[callers]] "a" tags.cost_centre: expected a text, got a number',
        "my.toml: [[deployments]] #1 name: is missing",
        "my.toml: [[deployments]] #1 targets #1 upstrem: did you mean `upstream`?",
    ]


def test_a_mistake_in_the_writing_and_one_in_the_meaning_are_said_together(here: Path, minimal: str) -> None:
    text = minimal + '[server]\nrelays = 0\nadmin = "0.0.0.0:8081"\n[journal]\ndirectry = "x"\n'
    assert problems(written(here, text), {}) == [
        "my.toml: [journal] directry: did you mean `directory`?",
        (
            "my.toml: [server] admin: 0.0.0.0:8081 can be reached from other machines; "
            "set `admin_token`, or listen on 127.0.0.1"
        ),
        "my.toml: [server] relays: must be at least 1",
    ]


def test_what_is_missing_because_of_a_mistake_is_not_a_second_one(here: Path) -> None:
    text = (
        '[[upstreams]]\nname = "sweden"\nendpont = "https://sweden.openai.azure.com"\n'
        'credential = { key = "k" }\n'
        '[[deployments]]\nname = "gpt-4o"\ntargets = [{ upstream = "sweden" }]\n'
    )
    assert problems(written(here, text), {}) == ['my.toml: [[upstreams]] "sweden" endpont: did you mean `endpoint`?']


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("server = 3", "my.toml: [server]: expected a table, got a number"),
        ("[upstreams]\nname = 'a'", "my.toml: [[upstreams]]: expected a list of tables, got a table"),
        ("[server]\ndata = 2026-01-01", "my.toml: [server] data: expected a text, got a date or time"),
        (
            "[server]\nmax_body = 1.5",
            "my.toml: [server] max_body: expected a size like 65536, 64KB, 10MB or 1.5GB, ",
        ),
        ("[server]\nkeep_alive = -1", "my.toml: [server] keep_alive: expected a duration like 500ms, 30s, "),
        ("[server]\nkeep_alive = nan", "my.toml: [server] keep_alive: expected a duration like 500ms, 30s, "),
        ("[server]\nmax_head = '1" + "0" * 400 + "'", "my.toml: [server] max_head: expected a size "),
        ("[server]\nrelays = [1]", "my.toml: [server] relays: expected a whole number, got a list"),
        ("[server]\nrelays = true", "my.toml: [server] relays: expected a whole number, got true"),
    ],
)
def test_a_wrong_type_is_said_in_words(here: Path, text: str, problem: str) -> None:
    assert any(line.startswith(problem) for line in problems(written(here, text), {}))


def test_a_variable_that_must_be_json_and_is_not_says_where_it_breaks() -> None:
    [problem] = problems(None, {"TOKENWEIR_UPSTREAMS": '[{"name": "a", sk-secret'})
    assert problem.startswith("TOKENWEIR_UPSTREAMS: expected a list of tables, got a text that is not JSON (")
    assert "byte 15" in problem and "sk-secret" not in problem


def test_variables_that_look_like_ours_and_are_none_are_refused(here: Path, minimal: str) -> None:
    environ = {"TOKENWEIR_CALERS": "[]", "TOKENWEIR_SERVER_DATA": "x", "TOKENWEIR_SPEED": "11"}
    assert problems(written(here, minimal), environ) == [
        "TOKENWEIR_CALERS: did you mean `TOKENWEIR_CALLERS`?",
        "TOKENWEIR_SERVER_DATA: did you mean `TOKENWEIR_SERVER__DATA`?",
        "TOKENWEIR_SPEED: no setting has this variable; they are made like TOKENWEIR_SERVER__DATA",
    ]


def test_what_kubernetes_and_the_command_line_put_beside_the_settings_is_let_be(here: Path, minimal: str) -> None:
    environ = {
        "TOKENWEIR_SERVICE_HOST": "10.0.0.1",
        "TOKENWEIR_SERVICE_PORT": "80",
        "TOKENWEIR_SERVICE_PORT_HTTP": "80",
        "TOKENWEIR_PORT": "tcp://10.0.0.1:80",
        "TOKENWEIR_PORT_80_TCP": "tcp://10.0.0.1:80",
        "TOKENWEIR_PORT_80_TCP_ADDR": "10.0.0.1",
        "TOKENWEIR_CONFIG": "elsewhere.toml",
        "TOKENWEIR_LOG": "debug",
        "TOKENWEIR_SIMULATE_KEY": "k",
    }
    assert load(written(here, minimal), environ).problems == []


def test_the_proxy_functions_variables_are_enough() -> None:
    environ = {
        "AZURE_OPENAI_BASE_URL": "https://old.openai.azure.com/",
        "AZURE_OPENAI_KEY": "k",
        "AZURE_OPENAI_API_VERSION": "2024-10-21",
    }
    loaded = load(None, environ)
    [upstream] = loaded.config.upstreams
    assert (upstream.name, upstream.endpoint) == ("azure", "https://old.openai.azure.com/")
    assert (upstream.credential.key_env, upstream.api_version) == ("AZURE_OPENAI_KEY", "2024-10-21")
    assert upstream.credential.key is None
    assert loaded.origins.of(("upstreams",)) == "AZURE_OPENAI_BASE_URL"


def test_the_proxy_functions_endpoint_without_its_key_is_refused_by_the_variables_name() -> None:
    [problem] = problems(None, {"AZURE_OPENAI_BASE_URL": "https://old.openai.azure.com"})
    assert problem == (
        'AZURE_OPENAI_BASE_URL: [[upstreams]] "azure" credential.key_env: the environment variable '
        "AZURE_OPENAI_KEY is not set; set it to a key of the resource"
    )


def test_configured_upstreams_win_over_the_proxy_functions_variables(here: Path, minimal: str) -> None:
    environ = {"AZURE_OPENAI_BASE_URL": "https://old.openai.azure.com", "AZURE_OPENAI_KEY": "k"}
    loaded = load(written(here, minimal), environ)
    assert [upstream.name for upstream in loaded.config.upstreams] == ["sweden"]
    [note] = [note for note in loaded.notes if "AZURE_OPENAI_BASE_URL" in note]
    assert note.startswith("AZURE_OPENAI_BASE_URL is set and not used: [[upstreams]] are configured")
    assert "old.openai" not in note


def test_there_is_nothing_to_say_where_the_proxy_functions_variables_are_used(here: Path, minimal: str) -> None:
    environ = {"AZURE_OPENAI_BASE_URL": "https://sweden.openai.azure.com", "AZURE_OPENAI_KEY": "k"}
    for loaded in (load(None, environ), load(written(here, minimal), environ)):
        assert [note for note in loaded.notes if "AZURE_OPENAI_BASE_URL" in note] == []


PROXY = {
    "AZURE_OPENAI_BASE_URL": "https://a.openai.azure.com",
    "AZURE_OPENAI_KEY": "k",
    "AZURE_EVENTHUB_CONN_STR": "Endpoint=sb://x;SharedAccessKey=hub-secret",
    "AZURE_EVENTHUB_NAME": "calls",
}


def test_the_proxy_functions_hub_is_a_sink_with_its_events_and_their_content() -> None:
    loaded = load(None, PROXY)
    [sink] = loaded.config.sinks
    [note] = [note for note in loaded.notes if "EVENTHUB" in note]

    assert (sink.kind, sink.shape) == ("event_hubs", "sse-proxy")
    assert isinstance(sink.connection, EventHubsConnection)
    assert (sink.connection.connection_string_env, sink.connection.hub) == ("AZURE_EVENTHUB_CONN_STR", "calls")
    assert loaded.config.journal.content == "full"
    assert loaded.origins.of(("journal", "content")) == "AZURE_EVENTHUB_CONN_STR"
    assert "calls are sent to the hub with their prompts and their answers" in note
    assert "hub-secret" not in note


def test_the_hubs_name_may_stand_in_its_connection_string() -> None:
    environ = PROXY | {"AZURE_EVENTHUB_CONN_STR": "Endpoint=sb://x;SharedAccessKey=k;EntityPath=calls"}
    del environ["AZURE_EVENTHUB_NAME"]
    [sink] = load(None, environ).config.sinks

    assert isinstance(sink.connection, EventHubsConnection) and sink.connection.hub is None


def test_two_hubs_for_one_sink_are_a_mistake_and_not_a_move_to_the_other_one() -> None:
    path = "Endpoint=sb://x;SharedAccessKey=k;EntityPath="
    assert load(None, PROXY | {"AZURE_EVENTHUB_CONN_STR": path + "calls"}).config.sinks
    with pytest.raises(InvalidConfig, match="is for the hub 'others' .* and 'calls' is named beside it"):
        load(None, PROXY | {"AZURE_EVENTHUB_CONN_STR": path + "others"})


def test_variables_say_which_calls_the_hub_gets_and_what_becomes_of_large_ones() -> None:
    [sink] = load(None, PROXY).config.sinks
    assert (sink.apis, sink.outcomes, sink.on_too_large) == ([], [], None)
    more = {"AZURE_EVENTHUB_EVENTS": "all", "AZURE_EVENTHUB_TOO_LARGE": "split"}
    [sink] = load(None, PROXY | more).config.sinks
    assert (sink.apis, sink.outcomes, sink.on_too_large) == (["*"], ["*"], "split")
    place = "https://kept.blob.core.windows.net/large"
    pointing = {"AZURE_EVENTHUB_TOO_LARGE": "pointer", "AZURE_EVENTHUB_LARGE_EVENTS": place}
    [sink] = load(None, PROXY | pointing).config.sinks
    assert (sink.on_too_large, sink.large_events) == ("pointer", place)
    for wrong, said in (
        ({"AZURE_EVENTHUB_EVENTS": "chats"}, "AZURE_EVENTHUB_EVENTS"),
        ({"AZURE_EVENTHUB_TOO_LARGE": "cut"}, "AZURE_EVENTHUB_TOO_LARGE"),
        ({"AZURE_EVENTHUB_TOO_LARGE": "pointer"}, "large_events: is missing"),
        ({"AZURE_EVENTHUB_LARGE_EVENTS": place}, "large_events: is only used with"),
    ):
        with pytest.raises(InvalidConfig, match=said):
            load(None, PROXY | wrong)


def test_content_that_is_switched_off_stays_off_also_for_the_proxy_functions_hub() -> None:
    loaded = load(None, PROXY | {"TOKENWEIR_JOURNAL__CONTENT": "none"})

    assert loaded.config.journal.content == "none"
    assert any("without prompts and answers" in note for note in loaded.notes)


def test_beside_a_file_the_hubs_variables_send_nothing_and_a_note_says_so(here: Path, minimal: str) -> None:
    loaded = load(written(here, minimal), PROXY)
    [note] = [note for note in loaded.notes if "EVENTHUB" in note]

    assert (loaded.config.sinks, loaded.config.journal.content) == ([], "none")
    assert note == "AZURE_EVENTHUB_CONN_STR is set and no [[sinks]] uses it, so nothing is sent to that hub"


def test_nothing_at_all_says_what_to_do() -> None:
    [problem] = problems(None, {})
    assert problem.startswith("[[upstreams]]: there is none")
    assert "tokenweir config example" in problem and "AZURE_OPENAI_BASE_URL" in problem


def test_the_books_can_be_read_without_what_only_a_gateway_needs() -> None:
    assert load(None, {"TOKENWEIR_LEDGER__URL": "duckdb:x"}, checked=False).config.ledger.url == "duckdb:x"
    with pytest.raises(InvalidConfig, match="did you mean `TOKENWEIR_LEDGER__URL`"):
        load(None, {"TOKENWEIR_LEDGER__URI": "duckdb:x"}, checked=False)


def test_examining_hands_back_what_could_be_read_beside_the_problems(here: Path, minimal: str) -> None:
    loaded = examine(written(here, minimal + "[server]\nrelays = 0\n[journal]\nx = 1\n"), {})
    assert len(loaded.problems) == 2
    assert loaded.config.upstreams[0].name == "sweden"
    assert loaded.config.journal == Config().journal


def test_the_message_of_the_error_has_a_line_for_each_problem(here: Path, minimal: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        load(written(here, minimal + "[server]\nrelays = 0\nmax_body = 0\n"), {})
    assert str(caught.value).splitlines() == [
        "the configuration cannot be used (2 problems):",
        "  my.toml: [server] relays: must be at least 1",
        "  my.toml: [server] max_body: must be more than zero",
    ]


def test_no_message_repeats_a_secret_wherever_it_was_put(here: Path) -> None:
    text = """
        [server]
        admin_token = ["sk-secret"]
        admin = "0.0.0.0:1"
        [ledger]
        url = "postgresql://u:sk-secret@host/db"
        [[upstreams]]
        name = "a"
        endpoint = "https://u:sk-secret@x"
        credential = { key_env = "sk-secret" }
        [[upstreams]]
        name = "b"
        endpoint = "sk-secret"
        credential = "sk-secret"
        [[upstreams]]
        name = "c"
        endpoint = "sk-secret"
        credential = { key = "sk-secret", key_env = "sk-secret" }
        proxy = "http://u:sk-secret@p:x"
        [[callers]]
        name = "t"
        key_sha256 = "sk-secret"
        tags = "sk-secret"
        [[callers]]
        name = "u"
        key_sha256 = "sk-secret"
    """
    found = problems(written(here, text), {"TOKENWEIR_DEPLOYMENTS": "sk-secret"})
    assert len(found) > 8
    assert "sk-secret" not in " ".join(found)
