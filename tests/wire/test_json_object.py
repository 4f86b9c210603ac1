"""The members of a large object are found as a strict decoder finds them, however the bytes are cut."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from tokenweir.wire import Members, ObjectReader, decode_value

WANTED = ("model", "stream")

_scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8), st.sampled_from(['"', "\\", '\\"', "{", "]}", '","model":"x"', "é\n"]),
)  # fmt: skip
_values = st.recursive(
    _scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
    max_leaves=12,
)
_names = st.one_of(st.text(max_size=5), st.sampled_from([*WANTED, "models", "mode", 'mod"el']))


@st.composite
def _written(draw: st.DrawFn) -> bytes:
    """An object as some client writes it: blanks, escapes, names in any order."""
    members = draw(st.dictionaries(_names, _values, max_size=5))
    return written(draw, members)


def written(draw: st.DrawFn, members: dict[str, Any]) -> bytes:
    blank = st.sampled_from(["", "", " ", "\r\n\t"])

    def name(text: str) -> str:
        if text.isascii() and text.isalpha() and draw(st.booleans()):
            return '"' + "".join(f"\\u{ord(c):04x}" if draw(st.booleans()) else c for c in text) + '"'
        return json.dumps(text, ensure_ascii=draw(st.booleans()))

    parts = [
        f"{draw(blank)}{name(key)}{draw(blank)}:{draw(blank)}"
        f"{json.dumps(value, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 1])))}{draw(blank)}"
        for key, value in members.items()
    ]
    return (draw(blank) + "{" + ",".join(parts) + draw(blank) + "}" + draw(blank)).encode("utf-8", "surrogatepass")


def read(body: bytes, size: int = 1 << 20) -> Members:
    reader = ObjectReader(WANTED)
    for at in range(0, len(body), size):
        reader.feed(body[at : at + size])
    return reader.finish()


@given(_written(), st.integers(1, 9))
def test_members_are_those_that_a_decoder_finds(body: bytes, size: int) -> None:
    decoded = json.loads(body)
    for members in (read(body), read(body, size)):
        assert set(members.found) == {name for name in WANTED if name in decoded}
        assert members.others == set(decoded) - set(WANTED)
        assert members.is_empty is (not decoded)
        assert body[members.end : members.end + 1] == b"}" and not body[members.end + 1 :].strip()
        for name, member in members.found.items():
            assert member.value == body[member.start : member.end]
            assert decode_value(member.value or b"") == decoded[name]


@given(st.integers(70, 200), _written())
def test_many_other_members_change_nothing(count: int, body: bytes) -> None:
    decoded = json.loads(body)
    others = b",".join(b'"o\\n%d" : [%d, {"model":"x"}]' % (n, n) for n in range(count))
    rest = body.strip()[1:].lstrip()
    whole = b"{" + others + (b"," if rest != b"}" else b"") + rest
    for members in (read(whole), read(whole, 50)):
        assert members.others is None
        found = {name: decode_value(member.value or b"") for name, member in members.found.items()}
        assert found == {name: decoded[name] for name in WANTED if name in decoded}


@given(st.binary(max_size=40) | st.text('{}[]":,\\ model1', max_size=40).map(str.encode), st.integers(1, 5))
def test_what_a_strict_decoder_takes_is_taken_and_cuts_do_not_matter(body: bytes, size: int) -> None:
    def outcome(size: int) -> Members | None:
        try:
            return read(body, size)
        except ValueError:
            return None

    assert outcome(size) == outcome(100)
    try:
        decoded = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return
    # text that is no UTF-8 is somebody else's to judge
    assert (outcome(100) is not None) is isinstance(decoded, dict) or b'"' in body


@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"[1]", b"null", b"{", b'{"a"', b'{"a":', b'{"a":1', b'{"a":1,', b'{"a":1,}', b"{,}", b'{"a" 1}',
        b'{"a":1 "b":2}', b'{"a":}', b'{"a":,"b":1}', b'{"a":[}', b'{"a":[}]', b'{"a":{]}', b'{"a":1}}', b'{} x',
        b"{}{}",
        b'{"a":"\\"}', b'{a:1}', b"{'a':1}", b'{"a":1/*c*/}', b'{"a":[1/*"*/]}', b'\xff\xfe{}',
        b'{"a":' + b"[" * 5000, b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}",
    ],
)  # fmt: skip
def test_what_is_no_object_is_refused(body: bytes) -> None:
    for size in (1, 7, 1 << 20):
        with pytest.raises(ValueError, match=r"."):
            read(body, size)


@pytest.mark.parametrize(
    "body",
    [b'{"model":"a","model":"b"}', b'{"model":"a","x":[{"model":1}],"mod\\u0065l":"a"}', b'{"stream":1,"stream":1}'],
)
def test_a_member_that_is_there_twice_is_refused(body: bytes) -> None:
    for size in (1, 1 << 20):
        with pytest.raises(ValueError, match="twice"):
            read(body, size)


def test_half_characters_and_numbers_that_are_none_pass() -> None:
    members = read(b'{"model":"\\ud83d","stream":NaN,"\\ud83d":"\\ud83d","x":[NaN,-Infinity]}')
    assert decode_value(members.found["model"].value or b"") == "\N{REPLACEMENT CHARACTER}"
    assert decode_value(members.found["stream"].value or b"") is not True


def test_of_a_value_that_nobody_needs_whole_only_the_place_is_kept() -> None:
    body = b'{"model":"' + b"m" * 100_000 + b'"}'
    member = read(body).found["model"]
    assert (member.start, member.end, member.value) == (9, len(body) - 1, None)
