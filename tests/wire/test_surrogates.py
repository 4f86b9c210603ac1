import json

from hypothesis import given, strategies as st

from tokenweir.wire import decode_json, mend_json


@given(st.text(alphabet=st.characters(exclude_categories=())).filter(lambda text: "\\" not in text))
def test_lone_halves_are_replaced_and_nothing_else(text: str) -> None:
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert json.loads(mend_json(json.dumps(text).encode())) == whole


def test_what_only_looks_like_half_a_character_is_left_alone_where_nothing_is_broken() -> None:
    assert decode_json(rb'{"a":"C:\\ud83d","b":"\ud83d\udccf"}') == {"a": "C:\\ud83d", "b": "📏"}
    assert decode_json(rb'{"a":"\ud83d","b":"\ud83d\udccf"}') == {"a": "\N{REPLACEMENT CHARACTER}", "b": "📏"}
    assert decode_json(b"\xff") is None
