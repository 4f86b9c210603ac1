"""Members of a JSON object, found as it passes."""

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from tokenweir.wire.json_members import MemberScanner, Path

WANTED: dict[Path, int] = {
    ("id",): 64,
    ("usage",): 4096,
    ("choices", "*", "finish_reason"): 64,
    ("response", "usage"): 4096,
    ("response", "model"): 64,
}
NAMES = ["id", "usage", "choices", "finish_reason", "response", "model", "other", "us\\age", 'a"b', "ü"]

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20) | st.just('\\"}]'),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5),
    max_leaves=40,
)
documents = st.dictionaries(st.sampled_from(NAMES), values, max_size=8)


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


@given(documents, st.lists(st.integers(0, 10_000), max_size=6), st.sampled_from([None, 1]), st.booleans())
def test_finds_what_a_whole_decoding_finds_however_the_document_is_cut(
    document: dict[str, Any], cuts: list[int], indent: int | None, ascii_only: bool
) -> None:
    data = json.dumps(document, indent=indent, ensure_ascii=ascii_only).encode(errors="replace")
    scanner = scan(data, *cuts)
    assert scanner.is_whole and not scanner.is_invalid
    found = {path: [m.raw for m in members] for path, members in scanner.members.items()}
    whole = expected(json.loads(data))
    assert list(found) and {p: len(v) for p, v in found.items()} == {p: len(v) for p, v in whole.items()} or not whole
    for path, raws in found.items():
        for raw, value in zip(raws, whole[path], strict=True):
            limit = WANTED[path]
            assert (raw is None and len(json.dumps(value, indent=indent)) >= limit // 6) or json.loads(
                raw or b"null"
            ) == value
    for members in scanner.members.values():
        for member in members:
            assert member.raw is None or data[member.start : member.end] == member.raw


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


def test_nan_and_nesting_without_end_are_skipped() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    scanner = scan(
        b'{"choices":[{"logprobs":NaN,"finish_reason":"stop","x":' + deep + b'}],"usage":{"a":-Infinity}}', 9
    )
    assert scanner.is_whole
    assert scanner.last("usage") == b'{"a":-Infinity}'
    assert scanner.last("choices", "*", "finish_reason") == b'"stop"'
