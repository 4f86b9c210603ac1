"""What needs a package that is not installed is said before it is needed, with the command that installs it."""

import sys
from pathlib import Path

import pytest

from tokenweir.config import examine, load

NEEDS = [
    ("[ledger]\nurl = 'postgresql://u@h/d'", "[ledger] url", "psycopg", "postgres"),
    ("[ledger]\nurl = 'clickhouse://u@h/d'", "[ledger] url", "clickhouse_connect", "clickhouse"),
    ("[[sinks]]\nname = 's'\nkind = 'kafka'\nconnection = { servers = 'h:1', topic = 't' }", "kind",
     "aiokafka", "kafka"),
    ("[[sinks]]\nname = 's'\nkind = 'webhook'\nconnection = { url = 'https://h/' }", "kind", "httpx", "webhook"),
    ("[[sinks]]\nname = 's'\nkind = 'otlp'\nconnection = { url = 'https://h/x' }", "kind",
     "opentelemetry.proto", "otel"),
    ("[[sinks]]\nname = 's'\nkind = 'application_insights'\nconnection = { connection_string_env = 'HUB' }", "kind",
     "azure.monitor.opentelemetry.exporter", "insights"),
    ("[[sinks]]\nname = 's'\nkind = 'event_hubs'\nconnection = { connection_string_env = 'HUB' }", "kind",
     "azure.eventhub", "azure"),
    ("[entra]\ntenants = ['t']\naudiences = ['a']", "[entra] tenants", "jwt", "entra"),
    ("[intake]\nconnection_string_env = 'HUB'", "[intake] kind", "azure.eventhub", "azure"),
    ("[intake]\nkind = 'kafka'\nservers = 'h:1'\ntopic = 't'", "[intake] kind", "aiokafka", "kafka"),
]  # fmt: skip
HUB = {"HUB": "Endpoint=sb://x/;SharedAccessKeyName=n;SharedAccessKey=k;EntityPath=h"}


@pytest.mark.parametrize(("text", "where", "module", "extra"), NEEDS)
def test_a_missing_extra_is_a_problem(
    here: Path, minimal: str, monkeypatch: pytest.MonkeyPatch, text: str, where: str, module: str, extra: str
) -> None:
    file = here / "my.toml"
    file.write_text(minimal + text)
    assert examine(file, HUB).problems == []
    monkeypatch.setitem(sys.modules, module, None)
    [problem] = examine(file, HUB).problems
    assert f"{where}: needs {module}, which is not installed; run: pip install 'tokenweir[{extra}]'" in problem
    assert load(file, HUB, extras=False).problems == []


def test_a_managed_identity_needs_one_too(here: Path, minimal: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "azure.identity", None)
    (here / "my.toml").write_text(minimal.replace('key = "sk-upstream-secret"', "managed_identity = true"))
    [problem] = examine(here / "my.toml", {}).problems
    assert "credential.managed_identity: needs azure.identity" in problem


@pytest.mark.parametrize(("kind", "setting"), [("event_hubs", "hub"), ("kafka", "topic")])
def test_a_connection_string_without_a_hub_is_a_problem(here: Path, minimal: str, kind: str, setting: str) -> None:
    file = here / "my.toml"
    text = f"[[sinks]]\nname = 's'\nkind = '{kind}'\nconnection = {{ connection_string_env = 'HUB' }}\n"
    file.write_text(minimal + text)
    environ = {"HUB": "Endpoint=sb://ns.servicebus.windows.net/;SharedAccessKeyName=n;SharedAccessKey=secret"}
    [problem] = examine(file, environ).problems
    assert f"no hub of ns.servicebus.windows.net is named: set `{setting}`, or add ;EntityPath=" in problem
    assert "secret" not in problem
    file.write_text((minimal + text).replace("'HUB' }", f"'HUB', {setting} = 'calls' }}"))
    assert examine(file, environ).problems == []
    assert "has no Endpoint" in examine(file, {"HUB": "SharedAccessKey=secret"}).problems[0]
