"""The doctor says which models behind deployments retire soon."""

from datetime import date

import pytest

from tokenweir.cli.checkup.models import check_models
from tokenweir.config import Config
from tokenweir.deployments import DeploymentSettings, TargetSettings
from tokenweir.upstream import CredentialSettings, UpstreamSettings


def said(model: str | None, today: date, kind: str = "azure") -> list[str]:
    credential = CredentialSettings(key="k")
    upstream = UpstreamSettings("sweden", "https://x.openai.azure.com", credential, kind=kind)  # type: ignore[arg-type]
    deployment = DeploymentSettings("chat", [TargetSettings("sweden", model=model)])
    config = Config(upstreams=[upstream], deployments=[deployment])
    return [finding.what for finding in check_models(config, today)]


@pytest.mark.parametrize(
    ("model", "today", "word"),
    [
        ("gpt-5-mini-2025-08-07", date(2026, 11, 1), None),
        ("gpt-5-mini-2025-08-07", date(2026, 12, 1), "retires on 2027-02-06"),
        ("gpt-4o-mini-2024-07-18", date(2026, 10, 1), "was to retire on 2026-10-01"),
        ("gpt-unheard-of", date(2030, 1, 1), None),
        (None, date(2030, 1, 1), None),
    ],
)
def test_a_model_that_retires_is_named_in_time(model: str | None, today: date, word: str | None) -> None:
    found = said(model, today)
    assert len(found) == (word is not None)
    assert all(word is not None and word in what and "deployment chat" in what for what in found)


def test_of_other_upstreams_no_schedule_is_known() -> None:
    assert said("gpt-4o-mini-2024-07-18", date(2030, 1, 1), kind="openai") == []
