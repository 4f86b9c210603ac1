"""Bodies that change in exactly one member."""

from string import printable
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from tokenweir.errors import InvalidBody
from tokenweir.upstream import with_included_usage, with_model

_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**60), 2**60),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=10),
)
_values = st.recursive(
    _scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)
_names = st.one_of(
    st.text(max_size=6), st.sampled_from(["model", "messages", "stream", "usage", 'q"', "stream_options"])
)


def written(members: dict[str, Any], spaces: bool) -> bytes:
    """JSON as clients write it: tight, or with blanks and line ends around everything."""
    if not spaces:
        return msgspec.json.encode(members)
    return b" " + msgspec.json.format(msgspec.json.encode(members), indent=1) + b" \r\n\t"


@given(st.dictionaries(_names, _values, max_size=5), st.text(printable, max_size=12), st.booleans())
def test_another_model_changes_that_member_and_nothing_else(members: dict[str, Any], model: str, spaces: bool) -> None:
    changed = with_model(written(members, spaces), model)
    assert msgspec.json.decode(changed) == {**members, "model": model}
    assert list(msgspec.json.decode(changed)) == list({**members, "model": model})


def test_every_other_member_keeps_its_bytes() -> None:
    body = b'{"model": "a", "n": 1.50e3, "t": "\\u00e9\\/", "big": 123456789012345678901234567890, "x": { "a" :1}}'
    assert with_model(body, "b") == (
        b'{"model":"b","n":1.50e3,"t":"\\u00e9\\/","big":123456789012345678901234567890,"x":{ "a" :1}}'
    )


@given(st.dictionaries(_names, _values, max_size=5), st.booleans())
def test_a_usage_that_is_asked_for_changes_that_member_and_nothing_else(members: dict[str, Any], spaces: bool) -> None:
    members["stream"] = True
    options = members.get("stream_options")
    changed = with_included_usage(written(members, spaces), options)
    expected = {**(options if isinstance(options, dict) else {}), "include_usage": True}
    assert msgspec.json.decode(changed) == {**members, "stream_options": expected}


@given(st.dictionaries(st.text(max_size=6), _values, max_size=5), st.booleans())
def test_where_there_were_no_options_every_byte_before_the_last_brace_stays(
    members: dict[str, Any], spaces: bool
) -> None:
    members["stream"] = True
    body = written(members, spaces)
    before = body.rstrip()[:-1]
    assert with_included_usage(body, None) == before + b',"stream_options":{"include_usage":true}}'


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (b'{"include_usage":false}', {"include_usage": True}),
        (b'{"include_obfuscation":false}', {"include_obfuscation": False, "include_usage": True}),
        (b"null", {"include_usage": True}),
        (b"{}", {"include_usage": True}),
    ],
)
def test_the_clients_other_options_stay(options: bytes, expected: dict[str, bool]) -> None:
    body = b'{"stream":true,"stream_options":' + options + b',"n":1}'
    changed = msgspec.json.decode(with_included_usage(body, msgspec.json.decode(options)))
    assert changed == {"stream": True, "stream_options": expected, "n": 1}


def test_a_name_written_with_escapes_is_the_same_name() -> None:
    body = b'{"stream":true,"stream\\u005foptions":{"include_obfuscation":false}}'
    changed = with_included_usage(body, {"include_obfuscation": False})
    assert msgspec.json.decode(changed)["stream_options"] == {"include_obfuscation": False, "include_usage": True}


@pytest.mark.parametrize("body", [b'{"\xff":1,"model":"a","stream":true}', b"[1]", b'{"a":', b""])
def test_a_body_that_cannot_be_changed_is_the_callers_mistake(body: bytes) -> None:
    with pytest.raises(InvalidBody):
        with_model(body, "b")
    with pytest.raises(InvalidBody):
        with_included_usage(body, {})
