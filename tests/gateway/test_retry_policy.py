"""Whether a call may go elsewhere, as an answer's head and its body tell."""

import pytest

from tokenweir.gateway.retry_policy import Verdict, refuses_stream_options, verdict_on
from tokenweir.wire import ResponseHead, read_response_head


@pytest.mark.parametrize(
    ("body", "refuses"),
    [
        (b'{"error":{"message":"Unrecognized request argument supplied: stream_options"}}', True),
        (b'{"error":{"message":"Validation error at #/include_usage: Extra inputs are not permitted"}}', True),
        (b'{"error":{"message":"The prompt is too long","code":"context_length_exceeded"}}', False),
        (b"", False),
    ],
)
def test_a_400_is_ours_only_where_it_blames_what_was_added(body: bytes, refuses: bool) -> None:
    assert refuses_stream_options(body) is refuses


# --- what to make of an answer ---


def head(status: int) -> ResponseHead:
    return read_response_head(b"HTTP/1.1 %d X" % status)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 529, 599])
def test_a_target_without_room_makes_way_for_the_next(status: int) -> None:
    for injected in (True, False):
        assert verdict_on(head(status), injected=injected, may_go_on=True) == "try the next"
        assert verdict_on(head(status), injected=injected, may_go_on=False) == "pass on"


@pytest.mark.parametrize(("injected", "verdict"), [(True, "read first"), (False, "pass on")])
def test_a_400_to_a_changed_request_is_read_before_it_is_believed(injected: bool, verdict: Verdict) -> None:
    for more in (True, False):
        assert verdict_on(head(400), injected=injected, may_go_on=more) == verdict


@pytest.mark.parametrize("status", [401, 403])
def test_what_may_refuse_our_own_credential_is_read_before_it_is_believed(status: int) -> None:
    for more in (True, False):
        assert verdict_on(head(status), injected=False, may_go_on=more, signs=True) == "read first"


@pytest.mark.parametrize(
    ("status", "verdict"), [(404, "try the next"), (200, "pass on"), (429, "pass on"), (503, "pass on")]
)
def test_what_is_not_here_is_looked_for_elsewhere_and_who_is_busy_may_have_it(status: int, verdict: Verdict) -> None:
    assert verdict_on(head(status), injected=False, may_go_on=True, seeks=True) == verdict
    assert verdict_on(head(status), injected=False, may_go_on=False, seeks=True) == "pass on"


@pytest.mark.parametrize("status", [200, 201, 204, 301, 304, 401, 403, 404, 408, 409, 413, 415, 422, 499])
def test_any_other_answer_is_the_answer(status: int) -> None:
    for injected in (True, False):
        assert verdict_on(head(status), injected=injected, may_go_on=True) == "pass on"
