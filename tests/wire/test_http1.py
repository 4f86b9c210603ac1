"""However a client's bytes are cut, the same requests are read from them."""

import pytest
from hypothesis import example, given, strategies as st

from support.http_bytes import SeenHead, Sent, cut, heads, read_all, requests, spoiled
from tokenweir.errors import HeadTooLarge, MalformedRequest
from tokenweir.wire import END, RequestHead, RequestReader, read_request_head

GET = b"GET /v1/models HTTP/1.1\r\nHost: example.com\r\n\r\n"
POST = b"POST /v1/files HTTP/1.1\r\nHost: example.com\r\nContent-Length: 5\r\n\r\nhello"
MAX_HEAD = 4096


def reader_of(data: bytes, max_head: int = MAX_HEAD) -> RequestReader:
    reader = RequestReader(max_head)
    reader.feed(data)
    return reader


def head_of(data: bytes) -> RequestHead:
    head = reader_of(data).next()
    assert isinstance(head, RequestHead)
    return head


# --- one request, and several ---


@given(st.lists(requests(), min_size=1, max_size=4), st.data())
def test_pipelined_requests_are_read_the_same_however_they_are_cut(sent: list[Sent], data: st.DataObject) -> None:
    raw = b"".join(one.raw for one in sent)
    places = data.draw(st.lists(st.integers(0, len(raw)), max_size=12))
    whole = read_all(RequestReader(MAX_HEAD), [raw])
    assert read_all(RequestReader(MAX_HEAD), cut(raw, places)) == whole
    assert read_all(RequestReader(MAX_HEAD), [one.raw for one in sent], at_once=True) == whole
    assert [(head.method, head.target, body) for head, body, _ in whole] == [
        (one.method, one.target, one.body) for one in sent
    ]
    assert all(ended for _, _, ended in whole)


@given(requests())
def test_a_request_that_comes_byte_by_byte_is_read_as_in_one_piece(sent: Sent) -> None:
    whole = read_all(RequestReader(MAX_HEAD), [sent.raw])
    assert read_all(RequestReader(MAX_HEAD), [bytes([byte]) for byte in sent.raw]) == whole


@given(st.data(), requests())
def test_what_is_refused_is_refused_however_it_is_cut(data: st.DataObject, sent: Sent) -> None:
    raw = data.draw(spoiled(sent.raw)) + b"\r\n\r\n"
    places = data.draw(st.lists(st.integers(0, len(raw)), max_size=6))
    outcomes = []
    for pieces in ([raw], cut(raw, places)):
        try:
            outcomes.append(read_all(RequestReader(MAX_HEAD), pieces))
        except MalformedRequest:
            outcomes.append([])
    if outcomes[0] and outcomes[1]:
        assert outcomes[0] == outcomes[1]
    elif outcomes[0] or outcomes[1]:
        pytest.fail(f"accepted in one piece or cut, but not both: {raw!r}")


def test_a_body_is_handed_on_as_it_comes() -> None:
    reader = reader_of(POST[:-3])
    assert isinstance(reader.next(), RequestHead)
    assert reader.next() == b"he"
    assert reader.next() is None
    reader.feed(b"llo")
    assert reader.next() == b"llo"
    assert reader.next() is END


def test_a_pipelined_request_waits_until_it_is_asked_for() -> None:
    reader = reader_of(GET + POST)
    assert isinstance(reader.next(), RequestHead)
    assert reader.next() is END
    assert reader.waiting == len(POST)
    head = reader.next()
    assert isinstance(head, RequestHead) and head.method == b"POST"


def test_a_request_without_a_body_ends_at_once() -> None:
    reader = reader_of(GET)
    head = reader.next()
    assert isinstance(head, RequestHead) and not head.has_body
    assert reader.next() is END
    assert reader.next() is None
    assert repr(END) == "END"


@given(st.integers(1, 4), st.data())
def test_one_empty_line_before_a_request_is_passed_over_and_two_are_not(lines: int, data: st.DataObject) -> None:
    raw = b"\r\n" * lines + GET
    pieces = cut(raw, data.draw(st.lists(st.integers(0, len(raw)), max_size=5)))
    if lines == 1:
        assert len(read_all(RequestReader(MAX_HEAD), pieces)) == 1
    else:
        with pytest.raises(MalformedRequest, match="first line must be"):
            read_all(RequestReader(MAX_HEAD), pieces)


def test_each_request_may_have_its_empty_line() -> None:
    assert len(read_all(RequestReader(MAX_HEAD), [b"\r\n" + POST + b"\r\n" + GET + b"\r\n"])) == 2


# --- the same head again, with another length ---


@given(heads(), st.lists(st.integers(0, 30), min_size=2, max_size=5), st.data())
def test_a_head_that_differs_in_its_length_only_is_read_as_if_it_were_the_first(
    head: tuple[bytes, bytes, list[bytes]], lengths: list[int], data: st.DataObject
) -> None:
    _, _, lines = head
    place = data.draw(st.integers(1, len(lines)))
    name, after = data.draw(
        st.sampled_from([(b"content-length: ", b""), (b"Content-Length:", b" "), (b"CONTENT-LENGTH:   ", b"  ")])
    )
    reader = RequestReader(MAX_HEAD)
    for length in lengths:
        raw = b"\r\n".join([*lines[:place], name + b"%d" % length + after, *lines[place:]])
        found = read_all(reader, [raw + b"\r\n\r\n" + b"x" * length])
        assert [(without_length(one), body, ended) for one, body, ended in found] == [
            (without_length(read_request_head(raw)), b"x" * length, True)
        ]
        assert found[0][0].content_length == length


@pytest.mark.parametrize(("lengths", "shared"), [((1, 20), True), ((0, 0), True), ((0, 1), False), ((1, 0), False)])
def test_heads_share_what_they_say_unless_only_one_has_a_body(lengths: tuple[int, int], shared: bool) -> None:
    raw = b"".join(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size + b"b" * size for size in lengths)
    (first, *_), (second, *_) = read_all(RequestReader(MAX_HEAD), [raw])
    assert (first.fields is second.fields) is shared
    assert [first.content_length, second.content_length] == list(lengths)


@given(heads(), st.data())
@example((b"POST", b"/", [b"POST / HTTP/1.1", b"host: x"]), None)
def test_a_head_much_like_the_one_before_is_judged_as_strictly_as_a_new_one(
    head: tuple[bytes, bytes, list[bytes]], data: st.DataObject | None
) -> None:
    lines = head[2]
    place = data.draw(st.integers(1, len(lines))) if data else 1
    raw = b"\r\n".join([*lines[:place], b"Content-Length: 0", *lines[place:]])
    spoilt = data.draw(spoiled(raw)) if data else raw.replace(b": 0", b": +0")
    if b"\r\n\r\n" in spoilt + b"\r\n" or spoilt.startswith(b"\r\n"):
        return  # another cut into heads, which other properties are about
    reader = reader_of(raw + b"\r\n\r\n")
    assert isinstance(reader.next(), RequestHead) and reader.next() is END
    reader.feed(spoilt + b"\r\n\r\n")
    try:
        alone: RequestHead | None = read_request_head(spoilt)
    except MalformedRequest:
        alone = None
    if alone is None:
        with pytest.raises(MalformedRequest):
            reader.next()
    else:
        second = reader.next()
        assert isinstance(second, RequestHead)
        assert without_length(second) == without_length(alone)
        assert second.content_length == alone.content_length


@given(heads(), st.lists(st.binary(max_size=200), min_size=2, max_size=5), st.data())
def test_requests_offered_whole_are_read_as_if_they_were_fed(
    head: tuple[bytes, bytes, list[bytes]], bodies: list[bytes], data: st.DataObject
) -> None:
    lines = head[2]
    place = data.draw(st.integers(1, len(lines)))
    raws = [
        b"\r\n".join([*lines[:place], b"content-length: %d" % len(body), *lines[place:], b"", b""]) + body
        for body in bodies
    ]
    places = data.draw(st.lists(st.integers(0, sum(map(len, raws))), max_size=4))
    borders = [sum(map(len, raws[:count])) for count in range(1, len(raws))]
    for pieces in (raws, cut(b"".join(raws), places), cut(b"".join(raws), [*borders, *places])):
        fed = read_all(RequestReader(MAX_HEAD), pieces)
        assert read_all(RequestReader(MAX_HEAD), pieces, at_once=True) == fed
        assert [body for _, body, _ in fed] == bodies


def test_a_familiar_request_is_read_in_one_go() -> None:
    reader = reader_of(POST)
    first = reader.next()
    assert isinstance(first, RequestHead)
    assert (reader.next(), reader.next()) == (b"hello", END)
    whole = reader.whole(POST.replace(b"hello", b"HELLO"))
    assert whole == (first, b"HELLO")


@pytest.mark.parametrize("missing", [1, 2, 3])
def test_a_head_without_its_end_is_no_whole_request_whatever_its_length_says(missing: int) -> None:
    # The length is that of the bytes received less three: what an end that was not found would make of it.
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nX: " + b"x" * 60
    size = len(head % 100) + 4 - missing - 3
    raw = head % size + b"\r\n\r\n" + b"b" * size
    reader = reader_of(head % 1 + b"\r\n\r\nb")
    assert isinstance(reader.next(), RequestHead)
    assert (reader.next(), reader.next()) == (b"b", END)
    begin = len(head % size) + 4 - missing
    found = read_all(reader, [raw[:begin], raw[begin:]], at_once=True)
    assert [(one.content_length, body, ended) for one, body, ended in found] == [(size, b"b" * size, True)]


def test_each_whole_request_may_have_its_empty_line() -> None:
    pieces = [POST, b"\r\n", POST, b"\r\n", POST, b"\r\n", GET]
    assert len(read_all(RequestReader(MAX_HEAD), pieces, at_once=True)) == 4


@pytest.mark.parametrize("length", [b"", b"+1", b"1 1", b"1,1", b"0x1", b"9" * 16, b"1\r\nContent-Length: 1"])
@pytest.mark.parametrize("after", [b"", b"\r\nX-A: 1"])
def test_the_length_of_a_familiar_head_is_judged_each_time(length: bytes, after: bytes) -> None:
    head = b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: "
    reader = reader_of(head + b"1" + after + b"\r\n\r\nb")
    assert isinstance(reader.next(), RequestHead)
    assert (reader.next(), reader.next()) == (b"b", END)
    with pytest.raises(MalformedRequest, match="(?i)content-length"):
        read_all(reader, [head + length + after + b"\r\n\r\nb"], at_once=True)


def without_length(head: RequestHead | SeenHead) -> tuple[object, ...]:
    """A head's meaning but for its length, which is told by ``content_length`` and not by its field."""
    fields = {name: value for name, value in head.fields.items() if name != b"content-length"}
    return (head.method, head.target, fields, head.kept, head.keep_alive, head.http_1_0, head.expects_continue)


# --- what a head says ---


def test_lines_that_travel_stay_as_they_came_and_those_of_this_hop_do_not() -> None:
    head = head_of(
        b"POST /v1/chat/completions?x=1 HTTP/1.1\r\nHost: gateway\r\nX-Odd-Case:  two  blanks \r\n"
        b"Authorization: Bearer k1\r\napi-key: k2\r\nOcp-Apim-Subscription-Key: k3\r\nConnection: keep-alive, X-Hop\r\n"
        b"x-hop: 1\r\nKeep-Alive: timeout=5\r\nTE: trailers\r\nTrailer: x\r\nUpgrade: h2c\r\nProxy-Authorization: p\r\n"
        b"Proxy-Connection: close\r\nAccept-Encoding: gzip\r\nExpect: 100-continue\r\nContent-Length: 0\r\n"
        b"Content-Type: application/json\r\nUser-Agent: t\r\n\r\n"
    )
    assert head.kept == [b"X-Odd-Case:  two  blanks ", b"Content-Type: application/json", b"User-Agent: t"]
    assert head.fields[b"authorization"] == b"Bearer k1"
    assert head.fields[b"api-key"] == b"k2"
    assert head.fields[b"ocp-apim-subscription-key"] == b"k3"
    assert head.fields[b"accept-encoding"] == b"gzip"
    assert b"x-odd-case" not in head.fields
    assert (head.method, head.target) == (b"POST", b"/v1/chat/completions?x=1")


@pytest.mark.parametrize(
    ("version", "connection", "kept_alive"),
    [
        (b"1.1", b"", True),
        (b"1.1", b"Connection: close\r\n", False),
        (b"1.1", b"Connection: Keep-Alive, Close\r\n", False),
        (b"1.1", b"Connection: x\r\nConnection: close\r\n", False),
        (b"1.0", b"", False),
        (b"1.0", b"Connection: Keep-Alive\r\n", True),
        (b"1.0", b"Connection: keep-alive, close\r\n", False),
    ],
)
def test_a_connection_is_kept_as_version_and_header_say(version: bytes, connection: bytes, kept_alive: bool) -> None:
    head = head_of(b"GET / HTTP/%b\r\nHost: x\r\n%b\r\n" % (version, connection))
    assert head.keep_alive is kept_alive
    assert head.http_1_0 is (version == b"1.0")


def test_http_1_0_needs_no_host() -> None:
    assert head_of(b"GET / HTTP/1.0\r\n\r\n").http_1_0


@pytest.mark.parametrize(
    ("version", "expect", "expects"),
    [
        (b"1.1", b"100-continue", True),
        (b"1.1", b"100-Continue", True),
        (b"1.1", b"tea", False),
        (b"1.0", b"100-continue", False),
    ],
)
def test_only_an_http_1_1_client_waits_for_a_continue(version: bytes, expect: bytes, expects: bool) -> None:
    raw = b"POST / HTTP/%b\r\nHost: x\r\nExpect: %b\r\nContent-Length: 1\r\n\r\n" % (version, expect)
    assert head_of(raw).expects_continue is expects


def test_list_fields_on_several_lines_are_one_list() -> None:
    head = head_of(
        b"GET / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\nTrailer: a\r\nTrailer: b\r\nAccept-Encoding: br\r\n\r\n"
    )
    assert head.fields[b"accept-encoding"] == b"gzip, br"


def test_fields_nobody_reads_may_come_twice() -> None:
    head = head_of(b"GET / HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nX-A: 2\r\n\r\n")
    assert head.kept == [b"X-A: 1", b"X-A: 2"]


# --- how much is read ---


@given(st.integers(-2, 2), st.lists(st.integers(0, 300), max_size=3))
def test_a_head_may_have_exactly_the_size_allowed(beyond: int, places: list[int]) -> None:
    room = 200 + beyond - len(b"GET / HTTP/1.1\r\nHost: x\r\nPad: \r\n\r\n")
    raw = b"GET / HTTP/1.1\r\nHost: x\r\nPad: " + b"p" * room + b"\r\n\r\n"
    pieces = cut(raw, [place for place in places if place <= len(raw)])
    if beyond <= 0:
        assert len(read_all(RequestReader(200), pieces)) == 1
    else:
        with pytest.raises(HeadTooLarge, match=r"larger than 200 bytes \(server.max_head\)"):
            read_all(RequestReader(200), pieces)


def test_a_head_that_never_ends_is_refused_before_it_fills_the_memory() -> None:
    reader = RequestReader(1000)
    reader.feed(b"GET / HTTP/1.1\r\n")
    with pytest.raises(HeadTooLarge):
        for number in range(200):
            reader.feed(b"x-%d: y\r\n" % number)
            assert reader.next() is None
    assert reader.waiting <= 1020


def test_a_large_body_is_no_large_head() -> None:
    raw = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n" + b"b" * 5000
    assert len(read_all(RequestReader(100), [raw])[0][1]) == 5000


_FRAGMENTS = [
    b"GET / HTTP/1.1\r\n",
    b"POST /v1 HTTP/1.1\r\n",
    b"Host: x\r\n",
    b"Content-Length: 3\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"\r\n",
    b"3\r\nabc\r\n",
    b"0\r\n",
    b"\n",
    b"\r",
    b" ",
    b"\x16\x03\x01",
]


@given(st.lists(st.one_of(st.sampled_from(_FRAGMENTS), st.binary(max_size=8)), max_size=30))
def test_any_bytes_are_read_or_refused_and_every_step_makes_progress(pieces: list[bytes]) -> None:
    reader = RequestReader(200)
    size = events = 0
    try:
        for piece in pieces:
            reader.feed(piece)
            size += len(piece)
            while (event := reader.next()) is not None:
                assert event != b""
                events += 1
                assert events <= 2 * size
    except (MalformedRequest, HeadTooLarge):
        pass
