"""Whatever was cut wherever: what is read is the beginning of what was written."""

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from tokenweir.wire import close_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
DOCUMENTS = st.dictionaries(st.text(), VALUES, max_size=5) | st.lists(VALUES, max_size=5)


def is_beginning(part: Any, whole: Any) -> bool:
    if isinstance(whole, dict):
        names = list(whole)
        return isinstance(part, dict) and all(
            name == names[at] and is_beginning(part[name], whole[name]) for at, name in enumerate(part)
        )
    if isinstance(whole, list):
        return isinstance(part, list) and all(
            is_beginning(here, there) for here, there in zip(part, whole, strict=False)
        )
    if isinstance(whole, str):
        return isinstance(part, str) and whole.encode("utf-16-le", "surrogatepass").startswith(
            part.encode("utf-16-le", "surrogatepass")
        )
    return bool(part == whole)


@given(DOCUMENTS, st.data(), st.booleans(), st.sampled_from([None, 1]))
def test_what_is_left_of_any_document_is_read(whole: Any, data: st.DataObject, ascii_only: bool, indent: Any) -> None:
    text = json.dumps(whole, ensure_ascii=ascii_only, indent=indent)
    cut = data.draw(st.integers(1, len(text)))
    closed = close_json(text[:cut])
    assert closed is not None
    assert is_beginning(json.loads(closed), whole)
    if cut == len(text):
        assert closed == text


@given(st.text())
def test_any_other_text_does_no_harm(text: str) -> None:
    close_json(text)


@pytest.mark.parametrize(
    ("cut", "closed"),
    [
        ('{"a": "wat', '{"a": "wat"}'),
        ('{"a": "wat\\', '{"a": "wat"}'),
        ('{"a": "wat\\\\', '{"a": "wat\\\\"}'),
        ('{"a": "wat\\u00', '{"a": "wat"}'),
        ('{"a": 12', "{}"),
        ('{"a": 12, "b', '{"a": 12}'),
        ('{"a": 12, "b": ', '{"a": 12}'),
        ('{"a": [1, {"b": null', '{"a": [1, {}]}'),
        ('{"a": [1, 2,', '{"a": [1, 2]}'),
    ],
)
def test_what_was_cut_in_the_middle_is_kept_if_it_is_a_text(cut: str, closed: str) -> None:
    found = close_json(cut)
    assert found is not None
    assert json.loads(found) == json.loads(closed)


@pytest.mark.parametrize("text", ["", "water", '{"a": 1} water', '{"a": 1]', '{"a": "b" water "c', "}"])
def test_what_was_never_json_is_nothing(text: str) -> None:
    assert close_json(text) is None
