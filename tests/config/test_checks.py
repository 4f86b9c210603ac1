"""A configuration that cannot work is refused before anything starts, each time with the fix."""

from pathlib import Path

import pytest

from tokenweir.config import examine
from tokenweir.policy import add_key, revoke_key
from tokenweir.records import SystemClock

OPEN = '[server]\ndata = "0.0.0.0:8080"\n'
HASH = "0123456789abcdef" * 4


def problems(text: str, environ: dict[str, str] | None = None) -> list[str]:
    Path("tokenweir.toml").write_text(text)
    return [problem.removeprefix("tokenweir.toml: ") for problem in examine(None, environ or {}).problems]


def upstream(**settings: str) -> str:
    """One ``[[upstreams]]`` table; values are TOML."""
    usual = {"name": '"a"', "endpoint": '"https://a.openai.azure.com"', "credential": '{ key = "k" }'}
    return "[[upstreams]]\n" + "".join(f"{name} = {value}\n" for name, value in (usual | settings).items())


def test_a_good_configuration_has_no_problems(minimal: str) -> None:
    assert problems(minimal) == []


def test_an_open_data_port_without_any_key_is_refused_with_the_fix(minimal: str) -> None:
    [problem] = problems(minimal + OPEN)
    assert problem.startswith("[server] data: 0.0.0.0:8080 can be reached from other machines and no caller has a key")
    assert "`tokenweir keys create NAME`" in problem


def test_a_caller_makes_an_open_data_port_right(minimal: str) -> None:
    assert problems(minimal + OPEN + f'[[callers]]\nname = "a"\nkey_sha256 = "{HASH}"\n') == []


def test_a_stored_key_makes_an_open_data_port_right_and_still_does_when_it_is_revoked(minimal: str) -> None:
    keys = Path("tokenweir-data/keys.json")
    _, stored = add_key(keys, "team-a", {}, SystemClock())
    assert problems(minimal + OPEN) == []
    revoke_key(keys, stored.key_id, SystemClock())
    assert problems(minimal + OPEN) == []


def test_a_keys_file_that_is_none_is_a_problem_of_its_own(minimal: str) -> None:
    Path("keys.json").write_text("?")
    [problem] = problems(minimal + '[server]\nkeys = "keys.json"\n')
    assert problem.startswith("[server] keys: keys.json is not a keys file")


def test_an_open_admin_port_needs_a_token(minimal: str) -> None:
    [problem] = problems(minimal + '[server]\nadmin = "[::]:8081"\n')
    assert problem.startswith("[server] admin: [::]:8081 can be reached from other machines; set `admin_token`")
    assert problems(minimal + '[server]\nadmin = "[::]:8081"\nadmin_token = "t"\n') == []


@pytest.mark.parametrize("origin", ["https://chat.example/", "chat.example", "https://a b", ""])
def test_an_origin_is_given_as_browsers_send_it(minimal: str, origin: str) -> None:
    [problem] = problems(minimal + f'[server]\ncors_origins = ["https://good.example:8443", "*", "{origin}"]\n')
    assert problem.startswith(f"[server] cors_origins: {origin!r} is no origin")


@pytest.mark.parametrize("name", ["max_clients", "max_clients_per_address"])
def test_a_number_of_clients_is_not_negative(minimal: str, name: str) -> None:
    assert problems(minimal + f"[server]\n{name} = 0\n") == []
    [problem] = problems(minimal + f"[server]\n{name} = -1\n")
    assert problem.startswith(f"[server] {name}: must be at least 1, or 0")


def test_origins_are_a_list_of_texts(minimal: str) -> None:
    [problem] = problems(minimal + '[server]\ncors_origins = "https://good.example"\n')
    assert problem == "[server] cors_origins: expected a list of texts, got a text"
    environ = {"TOKENWEIR_SERVER__CORS_ORIGINS": '["https://good.example"]'}
    assert examine(None, environ).config.server.cors_origins == ["https://good.example"]


def test_an_empty_token_is_no_token(minimal: str) -> None:
    [problem] = problems(minimal + '[server]\nadmin = "[::]:8081"\nadmin_token = ""\n')
    assert problem.startswith("[server] admin_token: is empty")


def test_what_is_no_address_is_refused(minimal: str) -> None:
    [problem] = problems(minimal + '[server]\ndata = "8080"\n')
    assert problem == "[server] data: '8080' is not an address; write it like 127.0.0.1:8080 or [::1]:8080"


def test_two_ports_cannot_be_one(minimal: str) -> None:
    [problem] = problems(minimal + '[server]\nadmin = "127.0.0.1:8080"\n')
    assert problem.startswith("[server] admin: is 127.0.0.1:8080, and so is `data`")
    assert problems(minimal + '[server]\nadmin = "127.0.0.1:0"\ndata = "127.0.0.1:0"\n') == []


@pytest.mark.parametrize(("given", "missing"), [("certificate", "private_key"), ("private_key", "certificate")])
def test_a_certificate_and_its_key_come_together(minimal: str, given: str, missing: str) -> None:
    Path("x.pem").write_text("…")
    [problem] = problems(minimal + f'[server]\n{given} = "x.pem"\n')
    assert problem == f"[server] {missing}: is missing; TLS needs both `certificate` and `private_key`"


def test_files_must_be_readable(minimal: str) -> None:
    found = problems(upstream(ca_bundle='"ca.pem"') + '[server]\ncertificate = "cert.pem"\nprivate_key = "key.pem"\n')
    assert found == [
        "[server] certificate: cert.pem cannot be read: No such file or directory",
        "[server] private_key: key.pem cannot be read: No such file or directory",
        '[[upstreams]] "a" ca_bundle: ca.pem cannot be read: No such file or directory',
    ]


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [
        (
            "sweden.openai.azure.com",
            "is not an http(s) URL; write it like https://<your-resource>.openai.azure.com",
        ),
        ("ftp://sweden", "is not an http(s) URL"),
        ("https://", "is not an http(s) URL"),
        ("https://sweden:port", "is not an http(s) URL"),
        ("https://sweden?api-version=1", "must have no user name, query or fragment"),
        ("https://user@sweden", "must have no user name, query or fragment"),
        ("https://sweden/openai/", "ends in /openai, which is added to each call"),
        ("https://sweden/openai/v1", "ends in /openai, which is added to each call"),
    ],
)
def test_an_endpoint_is_a_plain_url(endpoint: str, said: str) -> None:
    [problem] = problems(upstream(endpoint=f'"{endpoint}"'))
    assert problem.startswith(f'[[upstreams]] "a" endpoint: {said}')


def test_an_openai_endpoint_may_end_in_its_version() -> None:
    assert problems(upstream(endpoint='"http://127.0.0.1:1/openai/v1"', kind='"openai"')) == []


@pytest.mark.parametrize(
    ("credential", "said"),
    [
        (
            "{}",
            "names no way to sign in; give exactly one of `key_env`, `key`, `key_file`, `key_vault`, ",
        ),
        ("{ key = 'k', pass_through = true }", "has `key` and `pass_through`; give exactly one of"),
        ("{ managed_identity = false }", "names no way to sign in"),
        ("{ key = '' }", "names no way to sign in"),
    ],
)
def test_a_credential_names_exactly_one_way_to_sign_in(credential: str, said: str) -> None:
    [problem] = problems(upstream(credential=credential))
    assert problem.startswith(f'[[upstreams]] "a" credential: {said}')


@pytest.mark.parametrize(
    ("credential", "said"),
    [
        ("{ key = 'k', client_id = 'c' }", "client_id: belongs to `managed_identity` or `workload_identity` or "),
        ("{ managed_identity = true, tenant_id = 't' }", "tenant_id: belongs to `workload_identity` or "),
        ("{ managed_identity = true, token_file = 'f' }", "token_file: belongs to `workload_identity`"),
        ("{ key_file = 'no-such-file' }", "key_file: "),
        ("{ key_vault = 'my-vault/my-secret' }", "key_vault: is no secret's identifier, like https://VAULT."),
        ("{ client_secret_env = 'PATH', client_id = 'c' }", "tenant_id: is missing; `client_secret_env` needs it"),
        (
            "{ client_secret_env = 'NO_SUCH', client_id = 'c', tenant_id = 't' }",
            "client_secret_env: the environment variable NO_SUCH is not set; set it to the application's secret",
        ),
    ],
)
def test_what_a_way_to_sign_in_needs_is_there_and_nothing_else(credential: str, said: str) -> None:
    [problem] = problems(upstream(credential=credential), {"PATH": "/bin"})
    assert problem.startswith(f'[[upstreams]] "a" credential.{said}')


def test_every_way_to_sign_in_can_be_configured(here: Path) -> None:
    (here / "key").write_text("k")
    for credential in (
        "{ key_file = 'key' }",
        "{ key_vault = 'https://v.vault.azure.net/secrets/my-key' }",
        "{ key_vault = 'https://v.vault.azure.net/secrets/my-key/0123abcd', client_id = 'c' }",
        "{ workload_identity = true }",
        "{ workload_identity = true, tenant_id = 't', client_id = 'c', token_file = 'f' }",
        "{ client_secret_env = 'PATH', client_id = 'c', tenant_id = 't', authority = 'https://login.example' }",
        "{ pass_token = true }",
    ):
        assert problems(upstream(credential=credential), {"PATH": "/bin"}) == []
    assert problems(upstream(credential="{ managed_identity = true, client_id = 'c' }")) == []


@pytest.mark.parametrize("environ", [{}, {"SWEDEN_KEY": ""}, {"SWEDEN_KEY": " \n"}])
def test_the_variable_of_a_key_must_be_set(environ: dict[str, str]) -> None:
    [problem] = problems(upstream(credential="{ key_env = 'SWEDEN_KEY' }"), environ)
    assert problem == (
        '[[upstreams]] "a" credential.key_env: the environment variable SWEDEN_KEY is not set; '
        "set it to a key of the resource"
    )


def test_a_key_in_the_place_of_its_variable_is_not_repeated() -> None:
    [problem] = problems(upstream(credential="{ key_env = '0a1b2c3d' }"))
    assert problem == (
        '[[upstreams]] "a" credential.key_env: is not a variable that is set; give the name of one, not the key itself'
    )


def test_a_proxy_is_an_http_url() -> None:
    assert problems(upstream(proxy='"http://proxy.example:3128"')) == []
    assert problems(upstream(proxy='""')) == []
    [problem] = problems(upstream(proxy='"proxy.example"'))
    assert problem.startswith('[[upstreams]] "a" proxy: is not the URL of a proxy')


@pytest.mark.parametrize("proxy", ["https://u:sk-secret@proxy.example", "socks5://u:sk-secret@proxy.example:1080"])
def test_a_proxy_that_cannot_be_spoken_to_is_told_before_anything_starts(proxy: str) -> None:
    told = [problems(upstream(proxy=f'"{proxy}"')), problems(upstream(), {"ALL_PROXY": proxy})]
    assert [len(found) for found in told] == [1, 1]
    for [problem] in told:
        assert problem.startswith('[[upstreams]] "a" proxy: ')
        assert f"{proxy.partition(':')[0]}:// is not supported" in problem and "NO_PROXY" in problem
        assert "sk-secret" not in problem
    assert "comes from HTTPS_PROXY or ALL_PROXY" in told[1][0]
    assert problems(upstream(), {"ALL_PROXY": proxy, "NO_PROXY": ".azure.com:443"}) == []


def test_a_target_names_a_known_upstream(minimal: str) -> None:
    deployment = '[[deployments]]\nname = "gpt-4o"\ntargets = [{ upstream = "swedn" }, { upstream = "norway" }]\n'
    assert problems(minimal + deployment) == [
        '[[deployments]] "gpt-4o" targets #1 upstream: no upstream is called "swedn"; did you mean `sweden`?',
        '[[deployments]] "gpt-4o" targets #2 upstream: no upstream is called "norway"; there is sweden',
    ]


def test_a_deployment_has_a_target(minimal: str) -> None:
    [problem] = problems(minimal + '[[deployments]]\nname = "gpt-4o"\ntargets = []\n')
    assert problem == '[[deployments]] "gpt-4o" targets: is empty; name at least one upstream'


def test_names_are_used_once_and_not_empty(minimal: str) -> None:
    text = upstream() + upstream() + '[[callers]]\nname = " "\n'
    assert problems(text) == [
        '[[upstreams]] "a": is there 2 times; give each its own name',
        "[[callers]]: a `name` is empty",
    ]


@pytest.mark.parametrize("wrong", ["abc", HASH[1:], HASH + "0", "g" * 64])
def test_a_hash_is_64_hex_digits(minimal: str, wrong: str) -> None:
    [problem] = problems(minimal + f'[[callers]]\nname = "a"\nkey_sha256 = "{wrong}"\n')
    assert problem == ('[[callers]] "a" key_sha256: is not 64 hex digits; make it with: printf %s "$KEY" | sha256sum')


def test_a_key_belongs_to_one_caller(minimal: str) -> None:
    first = f'[[callers]]\nname = "a"\nkey_sha256 = "{HASH}"\n'
    second = f'[[callers]]\nname = "b"\nkey_sha256 = "{HASH.upper()}"\n'
    [problem] = problems(minimal + first + second)
    assert problem == '[[callers]] "b" key_sha256: is the key of "a" too; a key belongs to one caller'


def test_amounts_that_let_nothing_through_are_refused() -> None:
    text = upstream(connect_timeout='"0s"', max_connections="0") + (
        '[[deployments]]\nname = "d"\ntargets = [{ upstream = "a", weight = -1 }]\n[journal]\nsegment_size = 0\n'
    )
    assert problems(text) == [
        "[journal] segment_size: must be more than zero",
        '[[upstreams]] "a" max_connections: must be at least 1',
        '[[upstreams]] "a" connect_timeout: must be more than zero',
        '[[deployments]] "d" targets #1 weight: is -1; give a whole number from 0 (no new calls) to 1000',
    ]


def test_answers_that_wait_for_sinks_need_one_and_a_deadline_that_clients_bear(minimal: str) -> None:
    timeout, durability = problems(minimal + '[journal]\ndurability = "shipped"\nship_timeout = "25s"\n')
    assert timeout == "[journal] ship_timeout: must be 20s at most: clients wait for the end of their answers"
    assert durability.startswith("[journal] durability: is `shipped`, and there is no sink to wait for; configure one")


@pytest.mark.parametrize("url", ["tokenweir.duckdb", "duckdb:", "mysql://host/db"])
def test_a_ledger_is_one_this_version_knows(minimal: str, url: str) -> None:
    [problem] = problems(minimal + f'[ledger]\nurl = "{url}"\n')
    assert problem.startswith("[ledger] url: is no ledger this version knows")


def test_records_must_go_somewhere(minimal: str) -> None:
    nowhere = minimal + '[ledger]\nurl = "none"\n'
    [problem] = problems(nowhere)
    assert problem == '[ledger] url: is "none" and there are no [[sinks]], so records would go nowhere; add one'
    assert problems(nowhere + '[[sinks]]\nname = "f"\nkind = "file"\nconnection = { path = "f.jsonl" }\n') == []


def test_an_intake_says_where_from_or_is_left_out(minimal: str) -> None:
    [problem] = problems(minimal + '[intake]\nkind = "kafka"\nservers = "b:9092"\n')
    assert problem.startswith("[intake]: `servers` and `topic` are needed")
    complete = minimal + '[intake]\nkind = "kafka"\nservers = "b:9092"\ntopic = "calls"\n'
    assert problems(complete) == []
    assert problems(complete + 'username = "u"\npassword_env = "PW"\n', {"PW": "x"}) == []


def test_notes_say_what_is_allowed_and_may_surprise(minimal: str) -> None:
    Path("tokenweir.toml").write_text(minimal.replace("https:", "http:"))
    assert examine(None, {}).notes == [
        "no caller has a key, so every key is accepted and every caller is `anonymous`",
        'upstream "sweden" is reached without TLS: its key and content go in the clear',
    ]


def test_who_has_several_callers_is_told_what_they_share_until_somebody_says_who_may_use_what(minimal: str) -> None:
    two = minimal + '[[callers]]\nname = "a"\nkey_sha256 = "{}"\n[[callers]]\nname = "b"\nkey_sha256 = "{}"\n'.format(
        "0" * 64, "1" * 64
    )

    def told(text: str) -> bool:
        Path("tokenweir.toml").write_text(text)
        return any("each of them can list and read files" in note for note in examine(None, {}).notes)

    assert not told(minimal)
    assert told(two)
    assert not told(two + 'surfaces = ["chat_completions"]\n')
    assert not told(two.replace('key = "sk-upstream-secret"', "pass_through = true"))


def test_a_caller_without_a_key_is_noted_until_it_has_one(minimal: str) -> None:
    Path("tokenweir.toml").write_text(minimal + '[[callers]]\nname = "team-a"\n')
    assert examine(None, {}).notes == ['caller "team-a" has no key yet; `tokenweir keys create team-a` makes one']
    add_key(Path("tokenweir-data/keys.json"), "team-a", {}, SystemClock())
    assert examine(None, {}).notes == []


def test_calls_have_no_term_where_no_sums_of_them_stay(minimal: str) -> None:
    [problem] = problems(minimal + '[ledger]\nurl = "clickhouse://db.example"\n[retention]\ncalls = "90d"\n')
    assert problem.startswith("[retention] calls: cannot be kept in ClickHouse")
    [problem] = problems(minimal + '[retention]\ncalls = "1h"\n')
    assert problem.startswith("[retention] calls: is shorter than two days")
    assert problems(minimal + '[retention]\ncalls = "90d"\n') == []


def test_a_subject_is_from_a_member_or_a_header(minimal: str) -> None:
    known = '["user", "safety_identifier", "metadata.user_id", "header:X-User-Id"]'
    assert problems(minimal + f"[server]\nsubject_from = {known}\n") == []
    [problem] = problems(minimal + '[server]\nsubject_from = ["email"]\n')
    assert problem.startswith("[server] subject_from: 'email' is none")
    [problem] = problems(minimal + '[server]\nsubject_from = ["user"]\nsubject_secret = "short"\n')
    assert problem.startswith("[server] subject_secret: is too short")


def test_a_former_name_belongs_to_one_caller_only(minimal: str) -> None:
    callers = '[[callers]]\nname = "a"\nformerly = ["x", "a"]\n[[callers]]\nname = "b"\nformerly = ["a", "x"]\n'
    Path("tokenweir.toml").write_text(minimal + callers)
    said = [one.removeprefix("tokenweir.toml: ") for one in examine(None, {}).problems]
    assert said == [
        '[[callers]] "b" formerly: "a" is, or was, the caller "a"',
        '[[callers]] "b" formerly: "x" is, or was, the caller "a"',
    ]


def test_places_of_archive_and_keys_are_looked_at(minimal: str) -> None:
    good = '[server]\nshared_keys = "rediss://keys.example"\n[journal]\narchive = "https://a.blob.core.windows.net/b"\n'
    assert problems(minimal + good) == []
    bad = '[server]\nshared_keys = "mysql://keys.example"\n[journal]\narchive = "s3://bucket/x"\n'
    told = problems(minimal + bad)
    assert [problem.partition(":")[0] for problem in told] == ["[journal] archive", "[server] shared_keys"]


def test_a_caller_is_in_groups_that_there_are(minimal: str) -> None:
    callers = '[[callers]]\nname = "a"\ngroups = ["gold", "silver"]\n'
    [problem] = problems(minimal + callers + '[[groups]]\nname = "silver"\n[[groups]]\nname = "golf"\n')
    assert problem == "[[callers]] \"a\" groups: no group is called 'gold'; did you mean `golf`?"
    assert problems(minimal + callers + '[[groups]]\nname = "silver"\n[[groups]]\nname = "gold"\n') == []


def test_a_surface_that_is_nearly_one_is_a_mistake(minimal: str) -> None:
    group = '[[groups]]\nname = "g"\nsurfaces = ["{}"]\n'
    [problem] = problems(minimal + group.format("chat_completion"))
    assert problem == "[[groups]] \"g\" surfaces: 'chat_completion' is no surface; did you mean `chat_completions`?"
    for right in ("chat_completions", "audio_*", "batches", "fine_tuning/jobs", "something_new"):
        assert problems(minimal + group.format(right)) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('tenants = ["t"]', "audiences: is missing"),
        ('audiences = ["a"]', "tenants: is missing"),
        ('roles = ["r"]', "tenants: is missing"),
        ('tenants = [""]\naudiences = ["a"]', "tenants: has an empty name in it"),
        ('tenants = ["t", "u"]\naudiences = ["a"]\nissuers = ["https://i/"]', "is the same for all tenants"),
        ('tenants = ["t"]\naudiences = ["a"]\nkeys_url = "http://keys.example/k"', "keys_url: does not begin with"),
        ('tenants = ["t"]\naudiences = ["a"]\ngroups = ["gold"]', "no group is called 'gold'; there is none"),
        ('tenants = ["t"]\naudiences = ["a"]\nca_bundle = "no-such.pem"', "ca_bundle: "),
    ],
)
def test_tokens_are_let_in_by_whole_settings_only(minimal: str, text: str, problem: str) -> None:
    [found] = problems(f"{minimal}[entra]\n{text}\n")
    assert found.startswith("[entra] ") and problem in found


def test_tokens_make_an_open_data_port_right_and_callers_without_keys_no_surprise(minimal: str) -> None:
    callers = '[[callers]]\nname = "a"\napplications = ["app-1"]\n'
    for text in ("", callers):
        assert problems(minimal + OPEN + '[entra]\ntenants = ["t"]\naudiences = ["a"]\n' + text) == []
        assert not any("key" in note for note in examine(None, {}).notes)


def test_an_application_belongs_to_one_caller(minimal: str) -> None:
    callers = "".join(f'[[callers]]\nname = "{name}"\napplications = ["app-1"]\n' for name in ("a", "b"))
    [problem] = problems(minimal + callers)
    assert problem.startswith('[[callers]] "b" applications: \'app-1\' is an application of "a" too')
