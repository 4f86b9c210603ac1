"""Lines are judged once and remembered, but never one that holds a secret, and never without bound."""

import pytest

from tokenweir.wire import fields as module
from tokenweir.wire.fields import FieldLine, LineReader, explain, without_options
from tokenweir.wire.http1 import _LINES as REQUEST_LINES
from tokenweir.wire.responses import _LINES as RESPONSE_LINES


def new_reader(*, strict: bool = True) -> LineReader:
    return LineReader(
        read=frozenset([b"host", b"te", b"api-key", b"x-id"]),
        stays=frozenset([b"host", b"api-key"]).__contains__,
        forget=frozenset([b"api-key"]).__contains__,
        strict=strict,
    )


def remembered(reader: LineReader) -> dict[bytes, FieldLine]:
    return reader._remembered


def test_a_line_travels_or_stays_and_is_read_or_not() -> None:
    fields, kept = new_reader().read_lines([b"Host: here ", b"X-Id:\t1", b"Other: 2"])
    assert fields == {b"host": b"here", b"x-id": b"1"}
    assert kept == [b"X-Id:\t1", b"Other: 2"]


def test_a_remembered_line_is_read_as_the_first_time() -> None:
    reader = new_reader()
    lines = [b"Host: here", b"X-Id: 1", b"Other: 2"]
    first = reader.read_lines(lines)
    assert set(remembered(reader)) == set(lines)
    assert reader.read_lines(lines) == first


def test_a_secret_line_is_read_each_time_and_never_remembered() -> None:
    reader = new_reader()
    for _ in range(2):
        assert reader.read_lines([b"API-Key: s3cret"])[0] == {b"api-key": b"s3cret"}
    assert remembered(reader) == {}


@pytest.mark.parametrize(
    "line",
    [
        b"api-key: s3cret",
        b"API-KEY:s3cret",
        b"Authorization: Bearer s3cret",
        b"Ocp-Apim-Subscription-Key: s3cret",
        b"Proxy-Authorization: Basic s3cret",
        b"Cookie: session=s3cret",
    ],
)
def test_the_request_lines_that_carry_secrets_are_not_remembered(line: bytes) -> None:
    REQUEST_LINES.read_lines([line])
    assert line not in remembered(REQUEST_LINES)


def test_cookies_in_an_answer_are_not_remembered() -> None:
    RESPONSE_LINES.read_lines([b"Set-Cookie: session=s3cret"])
    assert b"Set-Cookie: session=s3cret" not in remembered(RESPONSE_LINES)


def test_a_long_line_is_not_remembered() -> None:
    reader = new_reader()
    reader.read_lines([b"X-Long: " + b"a" * 152, b"X-Long: " + b"b" * 153])
    assert set(remembered(reader)) == {b"X-Long: " + b"a" * 152}


@pytest.mark.parametrize("line", [b"X : 1", b" X: 1", b"X: \0", b"X", b": 1", "X: é".encode()])
def test_a_line_refused_once_stays_refused(line: bytes) -> None:
    reader = new_reader()
    for _ in range(3):
        with pytest.raises(ValueError, match="header"):
            reader.read_lines([b"Other: fine", line])
    assert line not in remembered(reader)


def test_the_memory_starts_afresh_when_it_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_REMEMBERED_LINES", 10)
    reader = new_reader()
    for number in range(100):
        reader.read_lines([b"X-%d: 1" % number])
        assert len(remembered(reader)) <= 10
    assert b"X-99: 1" in remembered(reader)


def test_the_standing_bound_is_some_thousand_lines_of_some_hundred_bytes() -> None:
    assert module._REMEMBERED_LINES * module._REMEMBERED_LENGTH < 1024 * 1024


def test_a_list_on_two_lines_is_one_list() -> None:
    assert new_reader().read_lines([b"TE: a", b"te: b", b"TE: a"])[0] == {b"te": b"a, b, a"}


def test_a_field_that_is_read_may_come_twice_with_one_meaning() -> None:
    assert new_reader().read_lines([b"X-Id: 1", b"x-id:1 "])[0] == {b"x-id": b"1"}


@pytest.mark.parametrize("strict", [True, False])
def test_framing_comes_once_in_any_direction(strict: bool) -> None:
    with pytest.raises(ValueError, match="host comes twice"):
        new_reader(strict=strict).read_lines([b"Host: a", b"Host: a"])


def test_a_caller_with_two_keys_is_refused_and_neither_is_repeated() -> None:
    nothing = frozenset[bytes]().__contains__
    reader = LineReader(read=frozenset([b"api-key"]), stays=nothing, forget=nothing, strict=True)
    with pytest.raises(ValueError, match="api-key comes twice with different values") as refused:
        reader.read_lines([b"api-key: first-key", b"API-Key: second-key"])
    assert "first" not in str(refused.value)
    assert "second" not in str(refused.value)


def test_of_two_trace_contexts_the_first_is_read_and_both_travel() -> None:
    fields, kept = new_reader().read_lines([b"X-Id: one", b"X-Id: two"])
    assert fields == {b"x-id": b"one"}
    assert kept == [b"X-Id: one", b"X-Id: two"]


def test_an_answer_that_says_two_things_is_handed_on_with_both() -> None:
    fields, kept = new_reader(strict=False).read_lines([b"X-Id: one", b"X-Id: two"])
    assert fields == {b"x-id": b"one"}
    assert kept == [b"X-Id: one", b"X-Id: two"]


def test_an_answer_may_hold_text_beyond_ascii_and_a_request_not() -> None:
    line = "X-Region: Zürich".encode("latin-1")
    assert new_reader(strict=False).read_lines([line])[1] == [line]
    with pytest.raises(ValueError, match="not ASCII"):
        new_reader().read_lines([line])


def test_an_explanation_never_repeats_a_value() -> None:
    for line in (b" s3cret", b"s3cret", b"a b: s3cret", b"A: s3cret\n", b"A: s3cret\0", b"A: s3cret\x01"):
        assert "s3cret" not in explain(line)


@pytest.mark.parametrize(
    ("connection", "left"),
    [
        (b"close", [b"X-A: 1", b"x-b: 2"]),
        (b"keep-alive, close", [b"X-A: 1", b"x-b: 2"]),
        (b"", [b"X-A: 1", b"x-b: 2"]),
        (b"close, x-a", [b"x-b: 2"]),
        (b" X-B ,x-a", []),
    ],
)
def test_what_connection_names_does_not_travel(connection: bytes, left: list[bytes]) -> None:
    assert without_options([b"X-A: 1", b"x-b: 2"], connection) == left
