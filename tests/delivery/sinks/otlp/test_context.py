"""``traceparent`` by the rules of W3C Trace Context: what is valid is joined, all else ignored."""

import re
from uuid import UUID

import pytest
from hypothesis import given, strategies as st
from opentelemetry.trace import get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from tokenweir.delivery.sinks.otlp.calls import TraceContext, read_traceparent, span_id, trace_id
from tokenweir.records import new_call_id

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"

_hex = st.text("0123456789abcdef", min_size=1, max_size=34)
_odd = st.sampled_from(["0", "00", "ff", "01", "0" * 16, "0" * 32, TRACE, SPAN, TRACE.upper(), SPAN[:-1], ""])
_almost = st.lists(_hex | _odd, min_size=3, max_size=6).map("-".join)


@pytest.mark.parametrize(
    ("flags", "is_sampled"), [("00", False), ("01", True), ("02", False), ("03", True), ("ff", True)]
)
def test_the_lowest_flag_says_whether_the_trace_is_recorded(flags: str, is_sampled: bool) -> None:
    assert read_traceparent(f"00-{TRACE}-{SPAN}-{flags}") == TraceContext(TRACE, SPAN, is_sampled)


@pytest.mark.parametrize("more", ["", "-", "-what-the-next-version-says"])
def test_a_later_version_may_say_more(more: str) -> None:
    assert read_traceparent(f"01-{TRACE}-{SPAN}-01{more}") == TraceContext(TRACE, SPAN, True)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01-",
        f"01-{TRACE}-{SPAN}-01more",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE[1:]}-{SPAN}-01",
        f" 00-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\n",
        f"00-{TRACE}-{SPAN}-0g",
        f"00-{TRACE}-{SPAN}-０１",
    ],
)
def test_what_is_not_valid_is_ignored(text: str | None) -> None:
    assert read_traceparent(text) is None


@given(_almost | st.text(max_size=80))
def test_whatever_comes_is_joined_or_ignored_as_opentelemetry_itself_does(text: str) -> None:
    found = read_traceparent(text)
    theirs = get_current_span(TraceContextTextMapPropagator().extract({"traceparent": text})).get_span_context()

    if found is not None:
        assert re.fullmatch(r"[0-9a-f]{32}", found.trace_id) and int(found.trace_id, 16)
        assert re.fullmatch(r"[0-9a-f]{16}", found.span_id) and int(found.span_id, 16)
        assert (int(found.trace_id, 16), int(found.span_id, 16)) == (theirs.trace_id, theirs.span_id)
        assert found.is_sampled == theirs.trace_flags.sampled


def test_a_call_in_no_trace_has_one_of_its_own_with_the_bits_of_its_id() -> None:
    call_id = new_call_id()

    assert trace_id(call_id) == UUID(call_id).hex


@given(st.text(max_size=40))
def test_any_id_gives_ids_of_the_right_length_that_are_not_zero(call_id: str) -> None:
    assert re.fullmatch(r"[0-9a-f]{32}", trace_id(call_id)) and int(trace_id(call_id), 16)
    assert re.fullmatch(r"[0-9a-f]{16}", span_id(call_id, 0)) and int(span_id(call_id, 0), 16)


def test_the_spans_of_a_call_have_ids_of_their_own_and_always_the_same() -> None:
    ids = [span_id(call_id, number) for call_id in ("a", "b", "a 1") for number in range(20)]

    assert len(set(ids)) == len(ids)
    assert ids == [span_id(call_id, number) for call_id in ("a", "b", "a 1") for number in range(20)]
