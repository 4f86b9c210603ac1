"""The Function App of the meter, called as the Functions runtime calls it."""

import json
from pathlib import Path
from types import ModuleType

import azure.functions as func
import pytest

from support.apim_events import LoggedCall, our_event
from support.function_apps import load_function_app


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def function_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """As the platform loads it, with a file in the place of Application Insights."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOKENWEIR_CONFIG", str(tmp_path / "meter.toml"))
    monkeypatch.setenv("TOKENWEIR_INTAKE__DEAD_LETTERS", str(tmp_path / "dead.jsonl"))
    (tmp_path / "meter.toml").write_text(
        f'[[sinks]]\nname = "lines"\nkind = "file"\nconnection = {{ path = "{tmp_path}/sent.jsonl" }}\n'
    )
    return load_function_app("meter")


def test_it_has_the_name_the_trigger_and_the_settings_of_the_chargeback_function(function_app: ModuleType) -> None:
    (function,) = function_app.app.get_functions()
    assert function.get_function_name() == "ChargebackEventHubTrigger"
    trigger = function.get_trigger().get_dict_repr()
    assert (trigger["eventHubName"], trigger["connection"]) == ("%EventHubName%", "EventHubConnection")
    assert trigger["consumerGroup"] == "$Default"
    assert trigger["cardinality"] == func.Cardinality.MANY


@pytest.mark.anyio
async def test_a_batch_is_metered_and_its_bad_event_kept(function_app: ModuleType, tmp_path: Path) -> None:
    (function,) = function_app.app.get_functions()
    answer = json.dumps({"model": "m", "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}})
    good = our_event(LoggedCall(request='{"messages": []}', response=answer)).encode()
    events = [func.EventHubEvent(body=body, sequence_number=number) for number, body in ((7, good), (8, b"odd"))]
    await function.get_user_function()(events)
    await function_app.hosted.close()
    (record,) = [json.loads(line) for line in (tmp_path / "sent.jsonl").read_text().splitlines()]
    assert (record["caller"], record["total_tokens"]) == ("team-a", 12)
    (letter,) = [json.loads(line) for line in (tmp_path / "dead.jsonl").read_text().splitlines()]
    assert (letter["place"], letter["body"]) == ("sequence number 8", "odd")
