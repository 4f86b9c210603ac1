"""What has been read of one answer so far; the meters add to it, and a measurement is made of it."""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from ..apis import (
    OTHER,
    AnswerChoice,
    ApiAnswer,
    Surface,
    UpstreamTools,
    digest,
)
from ..records import Quantity, UsageReason
from ..wire import MemberScanner, data_of, split_events
from .filters import filtered_categories, filtered_in
from .frame_shapes import FrameShapes
from .measurement import Measurement
from .usage import merged, read_usage, tells_counts
from .written import Output, WrittenChoice

__all__ = ["NO_MEASUREMENT", "Accumulator"]

_DONE = b"[DONE]"
_FIELD = b"data: "
_BETWEEN = b"\n\n"


class Accumulator(Output):
    """Facts of an answer, the later frame winning, and what was written in it."""

    def __init__(self, surface: Surface) -> None:
        super().__init__()
        self.usage: dict[str, Any] | None = None
        self.model: str | None = None
        self.id: str | None = None
        self.service_tier: str | None = None
        self.tool_usage: dict[str, Any] | None = None
        self.job: dict[str, Any] | None = None
        self.error_code: str | None = None
        self.chunks = 0
        self.done = False
        self.wrote_since_usage = False
        """Whether more was written after the last usage."""
        self.usage_is_too_large = False
        self._surface = surface
        self.read_answer: Callable[[bytes], ApiAnswer | None] = surface.read_answer
        """One JSON object of this API as an answer."""
        self.finish_reasons: list[str] = []
        self.filtered: dict[str, None] = {}
        self.tool_calls: dict[str, int] = {}
        self.counted: dict[str, int] = {}
        self._rest: ApiAnswer | None = None
        self._shapes = FrameShapes()

    def choices(self) -> list[WrittenChoice]:
        rest, self._rest = self._rest, None
        if rest is not None:
            self.add_text(rest)
        return super().choices()

    def measurement(
        self,
        *,
        content: bytes | None = None,
        rest: ApiAnswer | None = None,
        unreadable: str | None = None,
        reason: UsageReason | None = None,
    ) -> Measurement:
        """What it all amounts to. Of ``rest`` only the facts were read yet."""
        self._rest = rest
        # Most answers have no more than this, and each name that is given costs all of them.
        made = Measurement(
            output=self, response_model=self.model, response_id=self.id, chunks=self.chunks, done=self.done
        )
        if self.finish_reasons:
            made.finish_reasons = self.finish_reasons[:]
        if self.usage:
            if tells_counts(self.usage):
                made.usage = read_usage(self.usage, self._surface.name)
                made.wrote_since_usage = self.wrote_since_usage
                if self.finish_reasons and not made.usage.total_tokens:
                    made.usage, reason = None, "withheld"  # no model answers without a token: somebody fills in zeros
            else:
                reason = "unreadable"
                unreadable = unreadable or "its usage has no counts that can be read"
        if self.service_tier is not None:
            made.service_tier = self.service_tier
        if self.tool_usage is not None or self.tool_calls:
            made.tool_usage, made.tool_calls = self.tool_usage, self.tool_calls
        if self.counted:
            made.counted = {name: Quantity(amount, "counted") for name, amount in self.counted.items() if amount}
            if made.usage is not None:
                made.usage = replace(made.usage, quantities=made.counted | made.usage.quantities)
        if self.job is not None:
            made.job, made.job_id = self.job, self.job["id"]
        if self.error_code is not None or self.filtered:
            made.error_code, made.content_filter = self.error_code, ",".join(self.filtered) or None
        if content is not None:
            made.content = content.decode(errors="replace")
        if self.usage_is_too_large:
            reason = "too_large"
        if reason == "unreadable":
            unreadable = unreadable or "it is no JSON object"
        if unreadable is not None or reason is not None:
            made.unreadable, made.reason = unreadable, reason
        return made

    def read_events(self, raw: bytes) -> None:
        """Read every event of ``raw``, which begins with an event and ends with one or with the stream."""
        if raw.startswith(_FIELD) and raw.endswith(_BETWEEN):
            # What upstreams send: one data line an event, and nothing else. One split instead of many.
            for data in raw[len(_FIELD) : len(raw) - len(_BETWEEN)].split(_BETWEEN + _FIELD):
                event = _FIELD + data + _BETWEEN
                if self.take(event):
                    pass
                elif data.find(b"\n") < 0 and data.find(b"\r") < 0:
                    self._read_event(data, event)
                else:
                    self._read_events(event)
        else:
            self._read_events(raw)
        for written in self._written.values():
            written.shrink()

    def _read_events(self, raw: bytes) -> None:
        for event in split_events(raw):
            if not self.take(event):
                self._read_event(data_of(event), event)

    @property
    def knows_shapes(self) -> bool:
        """Whether ``take`` may know an event."""
        return len(self._shapes.known) > 0

    def take(self, event: bytes) -> bool:
        """Whether it is one event, whole, of a known shape; then it is read."""
        wrote = self._shapes.take(event)
        if wrote is None:
            return False
        self.chunks += 1
        if wrote and self.usage is not None:
            self.wrote_since_usage = True
        return True

    def _read_event(self, data: bytes, event: bytes) -> None:
        if data == _DONE:
            self.done = True
        elif data:
            self.chunks += 1
            answer = self.read(data)
            self.read_filters(data)
            if answer is not None:
                self._shapes.learn(event, answer, (self.model, self.id, self.service_tier), self._written)

    def read(self, data: bytes) -> ApiAnswer | None:
        """Read one JSON answer, facts and text but no filters. None if it is none."""
        answer = self.read_answer(data)
        if answer is not None:
            self.note(answer)
            self.add_text(answer)
        return answer

    def note_facts(self, scanner: MemberScanner) -> None:
        """Take the facts that were read of an answer as it passed."""
        facts = digest(scanner)
        answer = self._surface.answer_of(facts)
        if answer is not None:
            self.note(answer)
        self.filtered |= filtered_in(facts)
        found = [members for path, members in scanner.members.items() if path[-1] == "usage" and members]
        self.usage_is_too_large = any(members[-1].raw is None for members in found)

    def add_text(self, answer: ApiAnswer) -> None:
        """Take what the model wrote in an answer."""
        if self.usage is not None and not answer.usage and any(map(_has_text, answer.choices or ())):
            self.wrote_since_usage = True
        for choice in answer.choices or ():
            index = choice.index or 0
            written = self._written.get(index)
            if written is None:
                written = self._written[index] = WrittenChoice()
            written.add(choice)

    def read_filters(self, data: bytes) -> None:
        """Read which filters acted."""
        self.filtered |= filtered_categories(data)

    def note(self, answer: ApiAnswer) -> None:
        """Take the facts of an answer and leave its text."""
        if answer.model:
            self.model = answer.model
        if answer.id:
            self.id = answer.id
        if answer.usage:
            self.usage = answer.usage if self.usage is None else merged(self.usage, answer.usage)
            self.wrote_since_usage = False
        if answer.service_tier:
            self.service_tier = answer.service_tier
        if answer.error is not None or answer.status_code is not None:
            self.error_code = answer.error_code
        if type(answer) is not ApiAnswer:  # of an API with events of its own
            if answer.tools is not None:
                self._note_tools(answer.tools)
            if answer.job is not None:
                self.job = answer.job if self.job is None else self.job | answer.job
            if answer.ends:
                self.done = True
        for choice in answer.choices or ():
            if choice.finish_reason:
                self.finish_reasons.append(choice.finish_reason)

    def _note_tools(self, tools: UpstreamTools) -> None:
        if tools.usage is not None:
            self.tool_usage = tools.usage
        before = {} if tools.are_all else self.tool_calls
        self.tool_calls = before | {kind: before.get(kind, 0) + count for kind, count in tools.calls.items()}
        before = {} if tools.are_all else self.counted
        self.counted = before | {name: before.get(name, 0) + count for name, count in tools.counted.items()}


def _has_text(choice: AnswerChoice) -> bool:
    message = choice.delta or choice.message
    if message is None:
        return bool(choice.text)
    calls = message.tool_calls or message.function_call
    thought = message.reasoning_content or message.reasoning or message.reasoning_details
    return bool(message.content or thought or message.refusal or calls)


NO_MEASUREMENT = Accumulator(OTHER).measurement()
"""Of an answer that never came."""
