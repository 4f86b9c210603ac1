"""The chart, rendered by Helm itself and held against Kubernetes' own schemas."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

import tokenweir
from support.helm import render, unknown_to_kubernetes
from tokenweir.config import load

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CHART = Path(__file__).resolve().parents[2] / "deploy/helm/tokenweir"
UPSTREAM = """
[[upstreams]]
name = "openai"
endpoint = "https://example.openai.azure.com"
credential = { managed_identity = true }
"""
SHARED = '[ledger]\nurl = "postgresql://tokenweir@db.example.org/tokenweir"\n' + UPSTREAM
IMAGE = {"image": {"repository": "example.azurecr.io/tokenweir"}}
ONE: dict[str, Any] = {**IMAGE}
MANY: dict[str, Any] = {
    **IMAGE,
    "config": SHARED,
    "keysSecret": "tokenweir-keys",
    "gateway": {"replicas": 3, "storage": {"storageClass": "managed-csi"}},
    "workloadIdentity": {"clientId": "00000000-0000-0000-0000-000000000001"},
    "autoscaling": {"kind": "cpu"},
    "networkPolicy": {"callers": [{"podSelector": {}}], "admins": [{"podSelector": {}}]},
    "serviceMonitor": {"enabled": True},
    "service": {"type": "LoadBalancer"},
}
KEDA: dict[str, Any] = {**MANY, "autoscaling": {"kind": "calls", "callsPerReplica": 50}}
CONSUME: dict[str, Any] = {
    **IMAGE,
    "config": '[ledger]\nurl = "postgresql://tokenweir@db.example.org/tokenweir"\n[intake]\nkind = "kafka"\n'
    'servers = "broker-1:9093"\ntopic = "records"\n',
    "gateway": {"enabled": False},
    "consumer": {"enabled": True, "replicas": 2},
}
SETS = {"one": ONE, "many": MANY, "keda": KEDA, "consume": CONSUME}
# These come with operators, and Kubernetes itself has no schema for them.
OF_OPERATORS = {"ServiceMonitor", "ScaledObject"}


@pytest.mark.parametrize("values", SETS.values(), ids=SETS)
def test_kubernetes_knows_every_field(values: dict[str, Any]) -> None:
    for manifest, problem in render(CHART, values).all():
        assert problem == ("no schema" if manifest["kind"] in OF_OPERATORS else None), manifest["kind"]


def test_each_set_has_what_it_asks_for() -> None:
    kinds = {name: sorted(each["kind"] for each, _ in render(CHART, values).all()) for name, values in SETS.items()}
    base = ["ConfigMap", "NetworkPolicy", "Service", "Service", "ServiceAccount", "StatefulSet"]
    assert kinds["one"] == base
    assert kinds["many"] == sorted([*base, "HorizontalPodAutoscaler", "PodDisruptionBudget", "ServiceMonitor"])
    assert kinds["keda"] == sorted([*base, "PodDisruptionBudget", "ScaledObject", "ServiceMonitor"])
    assert kinds["consume"] == ["ConfigMap", "Deployment", "NetworkPolicy", "ServiceAccount"]


@pytest.mark.parametrize(("values", "kind"), [(ONE, "StatefulSet"), (CONSUME, "Deployment")])
def test_the_names_of_services_do_not_become_settings(values: dict[str, Any], kind: str) -> None:
    """Beside a release called tokenweir-west there would be a variable TOKENWEIR_WEST_PORT, and no pod would start."""
    assert render(CHART, values).one(kind)["spec"]["template"]["spec"]["enableServiceLinks"] is False


@pytest.mark.parametrize(("values", "kind"), [(ONE, "StatefulSet"), (MANY, "StatefulSet"), (CONSUME, "Deployment")])
def test_a_pod_may_do_nothing_but_its_work(values: dict[str, Any], kind: str) -> None:
    pod = render(CHART, values).one(kind)["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        writable = [mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
        assert writable == ["/var/lib/tokenweir"]


@pytest.mark.parametrize("grace", [1, 300, 1800])
def test_a_pod_is_given_longer_than_its_calls(grace: int) -> None:
    pod = render(CHART, {**ONE, "gateway": {"shutdownGrace": grace}}).one("StatefulSet")["spec"]["template"]["spec"]
    variables = {each["name"]: each["value"] for each in pod["containers"][0]["env"]}
    assert variables["TOKENWEIR_SERVER__SHUTDOWN_GRACE"] == f"{grace}s"
    assert pod["terminationGracePeriodSeconds"] > grace + 20  # the patience of the supervisor with relays and books


@pytest.mark.parametrize("values", [ONE, MANY])
def test_the_gateway_understands_what_it_is_given(values: dict[str, Any], tmp_path: Path) -> None:
    """The ConfigMap and the variables, read as the container reads them."""
    rendered = render(CHART, values)
    file = tmp_path / "tokenweir.toml"
    file.write_text(rendered.one("ConfigMap")["data"]["tokenweir.toml"])
    container = rendered.one("StatefulSet")["spec"]["template"]["spec"]["containers"][0]
    environ = {each["name"]: each["value"] for each in container["env"]}
    environ["TOKENWEIR_SERVER__ADMIN_TOKEN"] = "out of the Secret"
    environ["TOKENWEIR_CALLERS"] = '[{"name": "team-a", "key_sha256": "%s"}]' % ("0" * 64)
    config = load(file, environ).config
    assert config.server.data == "0.0.0.0:8080"
    assert config.upstreams[0].name == "openai"
    assert container["args"] == ["serve"]


def test_a_changed_configuration_starts_the_pods_anew() -> None:
    one, other = (render(CHART, {**ONE, "config": UPSTREAM + more}).one("StatefulSet") for more in ("", "# more\n"))
    assert one["spec"]["template"]["metadata"]["annotations"] != other["spec"]["template"]["metadata"]["annotations"]


def test_no_secret_is_in_what_is_rendered() -> None:
    rendered = render(CHART, MANY)
    assert [each["kind"] for each, _ in rendered.all() if each["kind"] == "Secret"] == []
    container = rendered.one("StatefulSet")["spec"]["template"]["spec"]["containers"][0]
    assert container["envFrom"] == [{"secretRef": {"name": "tokenweir"}}]


@pytest.mark.parametrize("config", [UPSTREAM, '[ledger]\nurl = "duckdb:ledger.duckdb"\n' + UPSTREAM])
@pytest.mark.parametrize("more", [{"gateway": {"replicas": 2}}, {"autoscaling": {"kind": "cpu"}}])
def test_many_replicas_with_a_ledger_each_are_refused(config: str, more: dict[str, Any]) -> None:
    assert "several gateways need a ledger that they share" in render(CHART, {**ONE, "config": config, **more}).error


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "/image/repository"),
        ({**ONE, "replicas": 2}, "replicas"),
        ({**ONE, "gateway": {"replicas": "2"}}, "/gateway/replicas"),
        ({**ONE, "secrets": []}, "/secrets"),
        ({**ONE, "autoscaling": {"kind": "memory"}}, "/autoscaling/kind"),
        ({**ONE, "gateway": {"storage": {"size": "10"}}}, "/gateway/storage/size"),
    ],
)
def test_values_that_are_wrong_are_refused(values: dict[str, Any], said: str) -> None:
    assert said in render(CHART, values).error


def test_the_chart_is_of_this_version() -> None:
    assert f'appVersion: "{tokenweir.__version__}"' in (CHART / "Chart.yaml").read_text("utf-8")


def test_the_default_configuration_is_toml() -> None:
    assert tomllib.loads(render(CHART, ONE).one("ConfigMap")["data"]["tokenweir.toml"])["upstreams"]


@pytest.mark.parametrize(
    ("change", "said"),
    [("port: 80,", "prot: 80,"), ("type: ClusterIP", "type: 4"), ("kind: StatefulSet", "kind: StatfulSet")],
)
def test_a_manifest_that_is_wrong_is_found(change: str, said: str) -> None:
    text = render(CHART, ONE).text
    assert change in text
    assert [problem for _, problem in unknown_to_kubernetes(text.replace(change, said)) if problem]
