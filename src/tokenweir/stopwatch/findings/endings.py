"""How the call ended, and whether everything was there that belongs to an end."""

from collections.abc import Iterator

from ..capture import Capture
from ..measures import Measures
from ..target import CALLED
from .finding import Finding, milliseconds

__all__ = ["endings"]

_LONG_ANSWER = "for longer answers, raise --timeout, and the idle timeouts on the way"


def endings(capture: Capture, measures: Measures) -> Iterator[Finding]:
    """What kept the call from its end; of a call that ended as such, what is missing."""
    ended = capture.ended
    came = f"{measures.outputs} pieces of output" if measures.events else "nothing"
    match ended.how:
        case "unreachable":
            yield Finding(
                "unreachable",
                "bad",
                ended.detail,
                "the call was never made",
                "check the endpoint's name and port, that it runs, firewalls and HTTPS_PROXY",
            )
        case "not_http":
            yield Finding(
                "not_http",
                "bad",
                f"the answer is not HTTP/1.1 ({ended.detail})",
                "what listens there speaks another protocol",
                "check the port, and http:// or https://",
            )
        case "timed_out":
            waited = "for its head" if capture.head is None else f"in the middle, after {came}"
            means = "the model is still thinking, or the connection was dropped without a word"
            yield Finding("timed_out", "bad", f"{ended.detail}, {waited}", means, _LONG_ANSWER)
        case "reset" | "closed":
            yield Finding(
                "broken_off",
                "bad",
                f"the connection ended after {milliseconds(ended.at)} and {came}, before the answer did "
                f"({ended.detail})",
                "whatever is next on the way went away, or its upstream did and it says so in this way",
                f"if it is always after the same time, look for a timeout of that length on the way; {_LONG_ANSWER}",
            )
        case "complete" | "refused":
            yield from _of_complete(capture, measures)


def _of_complete(capture: Capture, measures: Measures) -> Iterator[Finding]:
    kinds = [event.frame.kind for event in capture.events]
    if "error" in kinds:
        message = next(event.frame.text for event in capture.events if event.frame.kind == "error")
        yield Finding(
            "error_frame",
            "bad",
            f"after {measures.outputs} pieces of output the stream said: {message}",
            "the upstream failed after it had answered 200; clients must look for this inside the stream",
            "try again; the request id above finds it at the upstream",
        )
    elif capture.head is None or capture.head.status >= 300 or not capture.is_stream:
        return
    elif not kinds:
        yield Finding(
            "empty",
            "bad",
            f"the answer was {capture.head.status} with no event in it",
            "something on the way answered for the model, or dropped the body",
            "look at the headers for who answered",
        )
    else:
        yield from _of_last_events(capture, measures, "done" in kinds)


def _of_last_events(capture: Capture, measures: Measures, is_done: bool) -> Iterator[Finding]:
    if capture.events[-1].is_cut:
        yield Finding(
            "cut",
            "bad",
            "the last event has no end",
            "the stream was cut, and HTTP says that this was all",
            "look for a limit on the size or the time of answers on the way",
        )
    elif measures.finish is None and not is_done:
        yield Finding(
            "no_end",
            "bad",
            f"the stream stopped after {measures.outputs} pieces of output, without a finish reason or [DONE]",
            "the answer was cut off, and HTTP says that this was all",
            "look for a limit on the size or the time of answers on the way",
        )
    elif not is_done and capture.began.via == "http" and CALLED[capture.began.api].ends_with_done:
        yield Finding(
            "no_done",
            "odd",
            "the answer finished and [DONE] is missing",
            "the official SDKs take the end of the connection instead; some clients wait for it or report an error",
            "look for what takes the last event away: a gateway that translates or filters streams",
        )
    if measures.outputs == 0:
        yield Finding(
            "no_output",
            "odd",
            f"the stream ended ({measures.finish or 'no finish reason'}) and held no output",
            "the model said nothing: a content filter, a limit on tokens used up by reasoning, or an empty answer",
        )
    elif measures.finish == "length":
        yield Finding("length", "note", "the answer ended at its token limit", "it is not complete")
    elif measures.finish == "content_filter":
        yield Finding("content_filter", "odd", "a content filter stopped the answer", "what was to come is missing")
