"""Which calls a sink gets: by its settings, else as its shape's readers know it."""

from typing import Any, get_args

import pytest

from support.call_records import a_call
from tokenweir.apis import SURFACES
from tokenweir.delivery.sinks import FileConnection, SinkSettings, sink_filter
from tokenweir.records import Outcome

APIS = [surface.name for surface in SURFACES]
OUTCOMES: list[Outcome] = list(get_args(Outcome))


def wanted(**settings: Any) -> set[tuple[str, str]]:
    """Surface and outcome of the calls that such a sink gets."""
    is_wanted = sink_filter(SinkSettings("s", "file", FileConnection(path="x"), **settings))
    return {(api, outcome) for api in APIS for outcome in OUTCOMES if is_wanted(a_call(api=api, outcome=outcome))}


EVERYTHING = {(api, outcome) for api in APIS for outcome in OUTCOMES}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, EVERYTHING),
        ({"shape": "apim"}, EVERYTHING),
        ({"shape": "sse-proxy"}, {("chat_completions", "completed")}),
        ({"shape": "sse-proxy", "apis": ["*"], "outcomes": ["*"]}, EVERYTHING),
        ({"shape": "sse-proxy", "apis": ["*"]}, {(api, "completed") for api in APIS}),
        ({"apis": ["embeddings", "responses"]}, {(a, o) for a in ("embeddings", "responses") for o in OUTCOMES}),
        ({"outcomes": ["refused"]}, {(api, "refused") for api in APIS}),
    ],
)
def test_a_sink_gets_what_it_says_or_what_readers_of_its_shape_know(
    settings: dict[str, Any], expected: set[tuple[str, str]]
) -> None:
    assert wanted(**settings) == expected
