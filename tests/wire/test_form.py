"""Forms: where their fields stand, however they come; and what two readers could read in two ways is refused."""

import pytest
from hypothesis import given, strategies as st

from tokenweir.wire import FormReader, Members, boundary_of

BOUNDARY = b"c0444ced"


def part(head: bytes, content: bytes) -> bytes:
    return b"--%b\r\n%b\r\n\r\n%b\r\n" % (BOUNDARY, head, content)


def field(name: bytes, content: bytes) -> bytes:
    return part(b'Content-Disposition: form-data; name="%b"' % name, content)


FILE = part(
    b'Content-Disposition: form-data; name="file"; filename="a; name=\\"model\\".wav"\r\nContent-Type: audio/wav',
    b"RIFF\r\n--c0444cee\r\nmodel\0\xff",
)
END = b"--%b--\r\n" % BOUNDARY


def read(*pieces: bytes) -> Members:
    reader = FormReader(BOUNDARY, ["model", "stream"])
    for piece in pieces:
        reader.feed(piece)
    return reader.finish()


def values(members: Members) -> dict[str, bytes | None]:
    return {name: place.value for name, place in members.found.items()}


def test_fields_are_found_before_and_behind_a_file() -> None:
    body = field(b"model", b"whisper") + FILE + field(b"stream", b"true") + END
    members = read(body)
    assert values(members) == {"model": b"whisper", "stream": b"true"}
    place = members.found["model"]
    assert body[place.start : place.end] == b"whisper"
    assert body[members.end :] == b"\r\n" + END


@pytest.mark.parametrize(
    "head",
    [
        b'content-disposition:form-data;name="model"',
        b"Content-Disposition: form-data; name=model",
        b'Content-Disposition: form-data; filename="x"; name="model"',
        b'Content-Type: text/plain\r\nContent-Disposition: FORM-DATA; NAME="model";',
    ],
)
def test_a_field_is_found_however_its_head_is_written(head: bytes) -> None:
    assert values(read(part(head, b"whisper") + END)) == {"model": b"whisper"}


def test_a_value_that_nobody_would_send_is_not_kept() -> None:
    body = field(b"model", b"m" * 5000) + END
    place = read(body).found["model"]
    assert place.value is None
    assert body[place.start : place.end] == b"m" * 5000


def test_what_stands_before_the_first_part_and_behind_the_last_is_no_part() -> None:
    body = b"preamble\r\n" + field(b"model", b"a") + END + b"epilogue, model"
    assert values(read(body)) == {"model": b"a"}


SPELLED = [
    b'name="Model"',
    b'name=" model"',
    b'name="mo\\del"',
    b'name="%6dodel"',
    b"name*=UTF-8''model",
    b'name="model"; name="x"',
    b"name=\"x\"; name*=utf-8''model",
]


@pytest.mark.parametrize(
    "body",
    [
        field(b"model", b"a") + field(b"model", b"b") + END,
        *[part(b"Content-Disposition: form-data; " + spelled, b"a") + END for spelled in SPELLED],
        part(b'Content-Disposition: form-data;\r\n name="model"', b"a") + END,
        part(b'Content-Disposition: form-data; name="x"\r\nContent-Disposition: form-data; name="model"', b"a") + END,
        part(b'Content-Disposition: form-data; name="x\n"; name="model"', b"a") + END,
        part(b'Content-Disposition: attachment; name="model"', b"a") + END,
        part(b'Content-Disposition: form-data; name="model"\r\nContent-Transfer-Encoding: base64', b"YQ==") + END,
        part(b"Content-Type: text/plain", b"a") + END,
        b"--%b\r\n\r\na\r\n" % BOUNDARY + END,
        b'--%b\nContent-Disposition: form-data; name="model"\n\na\n' % BOUNDARY + END,
        field(b"x", b"a\n--%b\nContent-Disposition: form-data; name=model\n\nb" % BOUNDARY) + END,
        field(b"x", b"a--%b" % BOUNDARY) + END,
        field(b"x", b"a\r\n--%bX" % BOUNDARY) + END,
        field(b"x", b"a") + END + field(b"model", b"b") + END,
        part(b"X: " + b"x" * 9000 + b'\r\nContent-Disposition: form-data; name="model"', b"a") + END,
        field(b"model", b"a"),
        b"",
        b'{"model": "a"}',
    ],
)
def test_what_can_be_read_in_two_ways_or_not_at_all_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="form|part|field|boundary"):
        read(body)


@given(
    st.lists(st.tuples(st.sampled_from([b"file", b"prompt", b"language"]), st.binary(max_size=200)), max_size=4),
    st.binary(max_size=40).filter(lambda value: b"--" not in value),
    st.integers(0, 4),
    st.lists(st.integers(1, 60), max_size=30),
)
def test_however_a_form_is_cut_its_fields_are_the_same(
    others: list[tuple[bytes, bytes]], model: bytes, at: int, cuts: list[int]
) -> None:
    parts = [field(name, content) for name, content in others if BOUNDARY not in content]
    parts.insert(at, field(b"model", model))
    body = b"".join(parts) + END
    pieces, start = [], 0
    for size in cuts:
        pieces.append(body[start : start + size])
        start += size
    members = read(*pieces, body[start:])
    assert members == read(body)
    place = members.found["model"]
    assert (place.value, body[place.start : place.end]) == (model, model)


@given(st.lists(st.sampled_from([b"--", BOUNDARY, b"\r\n", b'name="model"', b"Content-Disposition: form-data;", b"x"])))
def test_no_bytes_break_the_reader(words: list[bytes]) -> None:
    outcomes = []
    for pieces in ([b"".join(words)], words):
        try:
            outcomes.append(values(read(*pieces)))
        except ValueError as error:
            outcomes.append({"error": str(error).encode()})
    assert ("error" in outcomes[0]) == ("error" in outcomes[1])


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        (b"multipart/form-data; boundary=abc", b"abc"),
        (b'Multipart/Form-Data; charset=utf-8; boundary="a b"', b"a b"),
        (b"multipart/form-data;boundary=abc; charset=utf-8", b"abc"),
        (b"multipart/form-data", None),
        (b"multipart/form-data; boundary=", None),
        (b"multipart/form-data; boundary=a; boundary=b", None),
        (b"multipart/mixed; boundary=abc", None),
        (b"application/json", None),
        (b"", None),
        (b"multipart/form-data; " + b"a;" * 30_000, None),
    ],
)
def test_a_boundary_is_taken_from_the_content_type(content_type: bytes, boundary: bytes | None) -> None:
    assert boundary_of(content_type) == boundary
