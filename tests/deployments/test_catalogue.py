"""What is asked for is found where the configuration says, best first; what is not there is told."""

from collections.abc import Iterable
from difflib import get_close_matches

import pytest

from tokenweir.deployments import Catalogue, DeploymentSettings, Target, TargetSettings, catalogue
from tokenweir.errors import UnknownDeployment

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
UPSTREAMS = ["paid", "second", "also-second", "spare"]


def test_targets_come_in_the_order_of_their_priority_and_of_the_file() -> None:
    targets = Catalogue(DEPLOYMENTS, UPSTREAMS).targets("gpt-4o")
    assert [target.upstream for target in targets] == ["paid", "second", "also-second", "spare"]
    assert targets[0] == Target("paid", "gpt-4o-ptu", "gpt-4o-2024-11-20", "ptu", "drain")
    assert targets[1] == Target("second", "gpt-4o", None, None, "drain")


def test_the_same_question_has_the_same_answer() -> None:
    known = Catalogue(DEPLOYMENTS, UPSTREAMS)
    assert known.targets("embed") is known.targets("embed")


def test_what_has_no_deployment_belongs_to_the_first_upstream() -> None:
    for deployments in (DEPLOYMENTS, []):
        assert Catalogue(deployments, UPSTREAMS).targets(None) == (Target("paid", None),)


def test_without_a_catalogue_every_name_is_passed_on_to_each_upstream_in_turn() -> None:
    targets = Catalogue([], ["a", "b"]).targets("whatever")
    assert targets == (Target("a", "whatever"), Target("b", "whatever"))


def test_an_unknown_name_is_told_with_the_nearest() -> None:
    known = Catalogue(DEPLOYMENTS, UPSTREAMS)
    with pytest.raises(UnknownDeployment, match="`gpt-4` does not exist on this gateway. Did you mean `gpt-4o`"):
        known.targets("gpt-4")
    with pytest.raises(UnknownDeployment) as refused:
        known.targets("zzz")
    assert "Did you mean" not in str(refused.value)
    assert refused.value.status == 404


def test_a_name_is_exact() -> None:
    with pytest.raises(UnknownDeployment):
        Catalogue(DEPLOYMENTS, UPSTREAMS).targets("GPT-4o")


def test_a_name_as_long_as_a_book_is_neither_repeated_nor_pondered(monkeypatch: pytest.MonkeyPatch) -> None:
    pondered: list[str] = []

    def ponder(word: str, names: Iterable[str], n: int) -> list[str]:
        pondered.append(word)
        return get_close_matches(word, list(names), n)

    monkeypatch.setattr(catalogue, "get_close_matches", ponder)
    with pytest.raises(UnknownDeployment) as refused:
        Catalogue(DEPLOYMENTS, UPSTREAMS).targets("gpt-4o" * 2_000_000)
    assert len(str(refused.value)) < 300
    assert [len(word) for word in pondered] == [80]


@pytest.mark.parametrize(
    ("deployments", "shown"),
    [([], "<Catalogue any deployments on a, b>"), (DEPLOYMENTS, "<Catalogue 2 deployments on a, b>")],
)
def test_its_state_can_be_seen(deployments: list[DeploymentSettings], shown: str) -> None:
    assert repr(Catalogue(deployments, ["a", "b"])) == shown
