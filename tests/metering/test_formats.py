from typing import Any

import pytest

from tokenweir.metering.counter import Counter
from tokenweir.metering.prompt import format_tokens

SCHEMA = {
    "title": "Answer",
    "type": "object",
    "properties": {"title": {"title": "Title", "type": "string"}, "rating": {"type": "integer"}},
    "required": ["title", "rating"],
    "additionalProperties": False,
}
SHOWN = (
    "# Response Formats\n\n## Answer\n\n"
    '{"type":"object","properties":{"title":{"type":"string"},"rating":{"type":"integer"}},'
    '"required":["title","rating"]}'
)


def tokens(response_format: Any) -> int:
    return format_tokens({"response_format": response_format}, Counter("gpt-4o"))


def test_a_schema_counts_as_it_is_shown() -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "Answer", "strict": True, "schema": SCHEMA}}
    assert tokens(wanted) == Counter("gpt-4o").count(SHOWN) + 14


def test_a_description_is_shown_above_it() -> None:
    shown = SHOWN.replace("{", "// An answer.\n{", 1)
    schema = {"name": "Answer", "description": "An answer.", "schema": SCHEMA}
    assert tokens({"type": "json_schema", "json_schema": schema}) == Counter("gpt-4o").count(shown) + 14


@pytest.mark.parametrize(
    "response_format", [None, {"type": "json_object"}, {"type": "text"}, "json", {"json_schema": 1}]
)
def test_other_formats_are_free(response_format: Any) -> None:
    assert tokens(response_format) == 0


def test_a_deep_schema_comes_to_an_end() -> None:
    deep: Any = {"type": "string"}
    for _ in range(300):
        deep = {"type": "object", "properties": {"a": deep}}
    assert 0 < tokens({"type": "json_schema", "json_schema": {"name": "Deep", "schema": deep}}) < 400
