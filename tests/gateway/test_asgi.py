"""What a host hands over is judged as on the data port."""

from typing import Any

import pytest

from tokenweir.errors import HeadTooLarge, MalformedRequest
from tokenweir.gateway.asgi import request_head
from tokenweir.wire import RequestHead


def head_of(
    *headers: tuple[bytes, bytes], max_head: int = 65536, is_chunked: bool = False, **scope: Any
) -> RequestHead:
    usual = {"method": "POST", "path": "/openai/v1/models", "raw_path": b"/openai/v1/models", "query_string": b""}
    whole = {**usual, **scope, "headers": [(b"host", b"gateway"), *headers]}
    return request_head(whole, max_head, is_chunked=is_chunked)


def test_lines_travel_on_as_they_came_and_secrets_do_not() -> None:
    head = head_of((b"x-trace", b"1"), (b"api-key", b"secret"), (b"content-length", b"12"), query_string=b"a=b%20c")
    assert head.target == b"/openai/v1/models?a=b%20c"
    assert head.kept == [b"x-trace: 1"]
    assert head.fields[b"api-key"] == b"secret"
    assert head.content_length == 12


@pytest.mark.parametrize(
    ("headers", "scope"),
    [
        ([(b"x", b"1\r\nx-more: 2")], {}),
        ([(b"x", b"1\nx-more: 2")], {}),
        ([(b"x\r\nx-more", b"2")], {}),
        ([(b"x ", b"1")], {}),
        ([(b"x", b"\0")], {}),
        ([(b"content-length", b"5"), (b"transfer-encoding", b"chunked")], {}),
        ([(b"content-length", b"5"), (b"content-length", b"6")], {}),
        ([(b"content-length", b"+5")], {}),
        ([(b"transfer-encoding", b"gzip, chunked")], {}),
        ([(b"host", b"another")], {}),
        ([(b"api-key", b"one"), (b"api-key", b"two")], {}),
        ([], {"raw_path": b"/a b"}),
        ([], {"raw_path": b"*"}),
        ([], {"raw_path": b"/a HTTP/1.1\r\nx-more: 2"}),
        ([], {"query_string": b"a=\xc3\xa4"}),
        ([], {"method": "CONNECT"}),
        ([], {"method": "PO ST"}),
    ],
)
def test_what_two_parties_could_read_in_two_ways_is_refused(
    headers: list[tuple[bytes, bytes]], scope: dict[str, Any]
) -> None:
    with pytest.raises(MalformedRequest):
        head_of(*headers, **scope)


def test_a_head_may_not_be_larger_than_allowed() -> None:
    with pytest.raises(HeadTooLarge):
        head_of((b"x", b"y" * 1000), max_head=1000)


def test_where_the_application_is_mounted_below_a_path_that_path_is_no_part_of_the_target() -> None:
    assert head_of(root_path="/llm", raw_path=b"/llm/openai/v1/models").target == b"/openai/v1/models"
    assert head_of(root_path="/llm", raw_path=b"/openai/v1/models").target == b"/openai/v1/models"


def test_a_host_that_keeps_no_raw_path_has_its_path_encoded_again() -> None:
    assert head_of(raw_path=None, path="/openai/v1/files/ä b").target == b"/openai/v1/files/%C3%A4%20b"


def test_a_body_of_which_only_frames_tell_the_end_is_chunked_from_here_on() -> None:
    assert head_of(http_version="2", is_chunked=True).content_length is None
    assert not head_of(http_version="2").has_body
