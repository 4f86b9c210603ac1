"""Members of a JSON object are found as a decoder finds them, as it passes and however its bytes are cut."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from tokenweir.wire import Members, MemberScanner, ObjectReader, Path, decode_value
from tokenweir.wire.json_members import _end, _others

WANTED: dict[Path, int] = {
    ("id",): 64,
    ("usage",): 4096,
    ("choices", "*", "finish_reason"): 64,
    ("response", "usage"): 4096,
    ("response", "model"): 64,
}
ONCE = ("model", "stream")
NAMES = ["id", "usage", "choices", "finish_reason", "response", "model", "stream", "models", "us\\age", 'a"b', "ü", "*"]

_scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20), st.sampled_from(['"', "\\", '\\"}]', "{", "]}", '","model":"x"', "é\n"]),
)  # fmt: skip
_names = st.sampled_from(NAMES) | st.text(max_size=5)
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_names, inner, max_size=5),
    max_leaves=30,
)


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    """An object as somebody writes it: blanks, names in any order, letters as escapes."""
    blanks = st.sampled_from(["", "", " ", "\r\n\t"])
    ascii_only = draw(st.booleans())

    def name(text: str) -> str:
        if text.isascii() and text.isalpha() and draw(st.booleans()):
            return '"' + "".join(f"\\u{ord(c):04{draw(_HEX)}}" if draw(st.booleans()) else c for c in text) + '"'
        return json.dumps(text, ensure_ascii=ascii_only)

    def written(value: Any) -> str:
        match value:
            case dict():
                inner = [f"{name(key)}{draw(blanks)}:{draw(blanks)}{written(one)}" for key, one in value.items()]
                return "{" + draw(blanks) + f"{draw(blanks)},{draw(blanks)}".join(inner) + draw(blanks) + "}"
            case list():
                return "[" + draw(blanks) + f"{draw(blanks)},".join(map(written, value)) + draw(blanks) + "]"
        return json.dumps(value, ensure_ascii=ascii_only)

    document = written(draw(st.dictionaries(_names, _values, max_size=8)))
    return (draw(blanks) + document + draw(blanks)).encode(errors="replace")


_HEX = st.sampled_from("xX")

# --- members that are wanted, at any depth ---


def scan(document: bytes, *cuts: int) -> MemberScanner:
    scanner = MemberScanner(WANTED)
    at = 0
    for cut in (*sorted(cut % (len(document) + 1) for cut in cuts), len(document)):
        scanner.feed(document[at:cut])
        at = cut
    return scanner


def expected(document: dict[str, Any]) -> dict[Path, list[Any]]:
    found: dict[Path, list[Any]] = {}
    for name in ("id", "usage"):
        if name in document:
            found[(name,)] = [document[name]]
    choices = document.get("choices")
    reasons = (
        [one["finish_reason"] for one in choices if isinstance(one, dict) and "finish_reason" in one]
        if (isinstance(choices, list))
        else []
    )
    if reasons:
        found["choices", "*", "finish_reason"] = reasons
    response = document.get("response")
    for name in ("usage", "model"):
        if isinstance(response, dict) and name in response:
            found["response", name] = [response[name]]
    return found


@given(documents(), st.lists(st.integers(0, 10_000), max_size=6))
def test_finds_what_a_whole_decoding_finds_however_the_document_is_cut(data: bytes, cuts: list[int]) -> None:
    scanner = scan(data, *cuts)
    assert scanner.is_whole and not scanner.is_invalid
    whole = expected(json.loads(data))
    assert {path: len(found) for path, found in scanner.members.items()} == {path: len(v) for path, v in whole.items()}
    for path, found in scanner.members.items():
        for member, value in zip(found, whole[path], strict=True):
            written = data[member.start : member.end]
            assert member.raw == (written if len(written) <= WANTED[path] else None)
            assert json.loads(written) == value


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=5))
def test_nothing_makes_it_raise_and_cuts_make_no_difference(garbage: bytes, cuts: list[int]) -> None:
    data = b'{"usage":' + garbage
    whole, pieces = scan(data), scan(data, *cuts)
    assert (whole.members, whole.is_whole, whole.is_invalid) == (pieces.members, pieces.is_whole, pieces.is_invalid)


def test_says_when_a_name_is_repeated_also_where_it_hides_in_escapes() -> None:
    scanner = scan(b'{"id":"a","\\u0069d" : "b" }')
    assert scanner.is_repeated
    assert scanner.last("id") == b'"b"'


def test_a_byte_order_mark_is_passed_over_even_in_pieces() -> None:
    assert scan(b'\xef\xbb\xbf{"id":1}', 1, 2).last("id") == b"1"


@pytest.mark.parametrize("document", [b"[1]", b"x", b'{"id" 1}', b'{"id":1}}', b"{,}", b'{"id":}'])
def test_what_is_no_object_is_invalid(document: bytes) -> None:
    assert scan(document).is_invalid


def test_a_value_over_its_limit_is_not_held() -> None:
    scanner = MemberScanner(WANTED)
    scanner.feed(b'{"id":"')
    for _ in range(100):
        scanner.feed(b"x" * 1000)
    assert sum(map(len, scanner._captured or ())) <= 64
    scanner.feed(b'","usage":{"prompt_tokens":1}}')
    assert scanner.members["id",][0].raw is None
    assert scanner.last("usage") == b'{"prompt_tokens":1}'


def test_nan_and_deep_nesting_are_skipped() -> None:
    deep = b"[" * 990 + b"]" * 990
    scanner = scan(
        b'{"choices":[{"logprobs":NaN,"finish_reason":"stop","x":' + deep + b'}],"usage":{"a":-Infinity}}', 9
    )
    assert scanner.is_whole
    assert scanner.last("usage") == b'{"a":-Infinity}'
    assert scanner.last("choices", "*", "finish_reason") == b'"stop"'


def test_what_is_nested_without_end_is_invalid() -> None:
    scanner = scan(b'{"usage":{"a":1},"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}")
    assert scanner.problem == "it is nested deeper than 1000 times"
    assert scanner.last("usage") == b'{"a":1}'


@pytest.mark.parametrize(
    "member",
    [b'"\\u0061":1,', b'"\\x":1,', b'"\\ud800":1,', b'"\\u0075sagf":1,', b'"usage\\u0065":[{"a":1}],', b'"usag":"",'],
)
def test_names_that_are_written_oddly_are_passed_over_as_fast_as_others(member: bytes) -> None:
    assert _end(_others(["usage", "id"]), member * 100 + b'"us\\u0061ge":1,', 0) == len(member * 100)


# --- an object whose members must be there once ---


def read(body: bytes, size: int = 1 << 20) -> Members:
    reader = ObjectReader(ONCE)
    for at in range(0, len(body), size):
        reader.feed(body[at : at + size])
    return reader.finish()


@given(documents(), st.integers(1, 9))
def test_members_are_those_that_a_decoder_finds(body: bytes, size: int) -> None:
    decoded = json.loads(body)
    for members in (read(body), read(body, size)):
        assert set(members.found) == {name for name in ONCE if name in decoded}
        assert members.others == set(decoded) - set(ONCE)
        assert members.is_empty is (not decoded)
        assert body[members.end : members.end + 1] == b"}" and not body[members.end + 1 :].strip()
        for name, member in members.found.items():
            assert member.value == body[member.start : member.end]
            assert decode_value(member.value or b"") == decoded[name]


@given(st.integers(70, 200), documents())
def test_many_other_members_change_nothing(count: int, body: bytes) -> None:
    decoded = json.loads(body)
    others = b",".join(b'"o\\n%d" : [%d, {"model":"x"}]' % (n, n) for n in range(count))
    rest = body.strip()[1:].lstrip()
    whole = b"{" + others + (b"," if rest != b"}" else b"") + rest
    for members in (read(whole), read(whole, 50)):
        assert members.others is None
        found = {name: decode_value(member.value or b"") for name, member in members.found.items()}
        assert found == {name: decoded[name] for name in ONCE if name in decoded}


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
