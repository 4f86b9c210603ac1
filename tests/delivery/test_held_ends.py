"""Ends of answers that wait for the sinks, and how long."""

import asyncio
import logging

import pytest

from tokenweir.delivery.held_ends import HeldEnds

pytestmark = pytest.mark.anyio


class Answers:
    """Notes which answers have ended."""

    def __init__(self, timeout: float) -> None:
        self.ends = HeldEnds[int](timeout)
        self.ended: list[int] = []
        self._changed = asyncio.Event()

    def hold(self, mark: int) -> None:
        self.ends.hold(mark, lambda: self._note(mark))

    def _note(self, mark: int) -> None:
        self.ended.append(mark)
        self._changed.set()

    async def give_up(self) -> None:
        """Until the deadline of the first has passed."""
        await self._changed.wait()


async def test_an_answer_ends_when_its_event_is_sent_and_those_behind_it_wait_on() -> None:
    answers = Answers(1000)
    for mark in (1, 2, 3):
        answers.hold(mark)
    answers.ends.passed(2)
    assert answers.ended == [1, 2]
    answers.ends.passed(3)
    assert answers.ended == [1, 2, 3]
    assert not answers.ends.is_waiting
    assert answers.ends.late == 0


async def test_after_one_deadline_no_answer_waits_until_the_sinks_take_events_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    answers = Answers(0)
    answers.hold(1)
    await answers.give_up()
    assert answers.ends.is_late
    answers.hold(2)
    assert answers.ended == [1]  # not within the call that holds
    await asyncio.sleep(0)
    assert answers.ended == [1, 2]
    assert answers.ends.late == 2
    assert caplog.text.count("have not confirmed an event within 0 s") == 1  # and not for each

    answers.ends.passed(2)
    assert not answers.ends.is_late
    assert "take events again; 2 answers" in caplog.text
    assert answers.ended == [1, 2]  # each once


async def test_to_be_told_the_same_again_is_no_sign_of_life() -> None:
    answers = Answers(0)
    answers.ends.passed(5)
    answers.hold(6)
    await answers.give_up()
    answers.ends.passed(5)
    assert answers.ends.is_late
