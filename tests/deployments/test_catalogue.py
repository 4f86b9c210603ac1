"""What is asked for is found where the configuration says, best first; what is not there is told."""

from collections.abc import Iterable

import pytest

from support.clocks import JumpingClock
from tokenweir.deployments import Catalogue, DeploymentSettings, Target, TargetSettings, catalogue
from tokenweir.errors import UnknownDeployment, UnknownRoute, nearest
from tokenweir.providers import ProviderKind

CLOCK = JumpingClock()
DEPLOYMENTS = [
    DeploymentSettings(
        "gpt-4o",
        [
            TargetSettings("spare", priority=3),
            TargetSettings("paid", deployment="gpt-4o-ptu", model="gpt-4o-2024-11-20", sku="ptu"),
            TargetSettings("second", priority=2),
            TargetSettings("also-second", priority=2),
        ],
        on_client_gone="drain",
    ),
    DeploymentSettings("embed", [TargetSettings("spare")]),
]
UPSTREAMS: dict[str, ProviderKind] = {"paid": "azure", "second": "azure", "also-second": "azure", "spare": "azure"}


def test_targets_come_in_the_order_of_their_priority_and_of_the_file() -> None:
    targets = Catalogue(DEPLOYMENTS, UPSTREAMS, CLOCK).pool("gpt-4o", "v1").targets
    assert [target.upstream for target in targets] == ["paid", "second", "also-second", "spare"]
    assert targets[0] == Target("paid", "gpt-4o-ptu", "gpt-4o-2024-11-20", "ptu", "drain")
    assert targets[1] == Target("second", "gpt-4o", None, None, "drain")


def test_the_same_question_has_the_same_answer() -> None:
    known = Catalogue(DEPLOYMENTS, UPSTREAMS, CLOCK)
    assert known.pool("embed", "v1") is known.pool("embed", "v1")


def test_what_has_no_deployment_belongs_to_the_first_upstream() -> None:
    for deployments in (DEPLOYMENTS, []):
        assert Catalogue(deployments, UPSTREAMS, CLOCK).pool(None, "v1").targets == (Target("paid", None),)


def test_without_a_catalogue_every_name_is_passed_on_to_each_upstream_in_turn() -> None:
    targets = Catalogue([], {"a": "azure", "b": "openai"}, CLOCK).pool("whatever", "v1").targets
    assert targets == (Target("a", "whatever"), Target("b", "whatever"))


def test_a_call_goes_only_where_its_path_is_understood() -> None:
    upstreams: dict[str, ProviderKind] = {"sweden": "azure", "claude": "anthropic", "spare": "anthropic"}
    known = Catalogue([], upstreams, CLOCK)
    assert known.pool("x", "v1").targets == (Target("sweden", "x"),)
    assert known.pool("x", "anthropic").targets == (Target("claude", "x"), Target("spare", "x"))
    assert known.pool(None, "anthropic").targets == (Target("claude", None),)
    with pytest.raises(UnknownRoute, match="No upstream of this gateway understands this path"):
        Catalogue([], {"sweden": "azure"}, CLOCK).pool("x", "anthropic")

    mixed = Catalogue(
        [DeploymentSettings("smart", [TargetSettings("spare"), TargetSettings("sweden")])], upstreams, CLOCK
    )
    assert mixed.pool("smart", "anthropic").targets == (Target("spare", "smart"),)
    assert mixed.pool("smart", "deployments").targets == (Target("sweden", "smart"),)
    only_claude = Catalogue([DeploymentSettings("sonnet", [TargetSettings("claude")])], upstreams, CLOCK)
    with pytest.raises(UnknownDeployment, match="`sonnet` is on no upstream that understands this path"):
        only_claude.pool("sonnet", "v1")


def test_an_unknown_name_is_told_with_the_nearest() -> None:
    known = Catalogue(DEPLOYMENTS, UPSTREAMS, CLOCK)
    with pytest.raises(UnknownDeployment, match="`gpt-4` does not exist on this gateway. Did you mean `gpt-4o`"):
        known.pool("gpt-4", "v1")
    with pytest.raises(UnknownDeployment) as refused:
        known.pool("zzz", "v1")
    assert "Did you mean" not in str(refused.value)
    assert refused.value.status == 404


def test_a_name_is_exact() -> None:
    with pytest.raises(UnknownDeployment):
        Catalogue(DEPLOYMENTS, UPSTREAMS, CLOCK).pool("GPT-4o", "v1")


def test_a_name_as_long_as_a_book_is_neither_repeated_nor_pondered(monkeypatch: pytest.MonkeyPatch) -> None:
    pondered: list[str] = []

    def ponder(word: str, names: Iterable[str]) -> str | None:
        pondered.append(word)
        return nearest(word, names)

    monkeypatch.setattr(catalogue, "nearest", ponder)
    with pytest.raises(UnknownDeployment) as refused:
        Catalogue(DEPLOYMENTS, UPSTREAMS, CLOCK).pool("gpt-4o" * 2_000_000, "v1")
    assert len(str(refused.value)) < 300
    assert [len(word) for word in pondered] == [80]


@pytest.mark.parametrize(
    ("deployments", "shown"),
    [([], "<Catalogue any deployments on a, b>"), (DEPLOYMENTS, "<Catalogue 2 deployments on a, b>")],
)
def test_its_state_can_be_seen(deployments: list[DeploymentSettings], shown: str) -> None:
    assert repr(Catalogue(deployments, {"a": "azure", "b": "openai"}, CLOCK)) == shown
