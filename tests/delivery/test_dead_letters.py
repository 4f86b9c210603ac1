"""What a dead letter holds, and who may read it."""

import json
from pathlib import Path

import pytest

from support.clocks import JumpingClock
from support.journals import NOW
from tokenweir.delivery import Rejected, Unavailable
from tokenweir.delivery.dead_letters import DeadEvents
from tokenweir.delivery.letter_files import LetterFile
from tokenweir.delivery.sinks import JsonEvent


def test_a_letter_has_all_that_is_needed_to_send_it_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "dead" / "hub.jsonl"
    letters = DeadEvents(LetterFile(path), "hub", JumpingClock(NOW))
    event = JsonEvent(body='{"a": "ü\n"}'.encode(), call_id="c", properties={"part": "1", "parts": "2"})
    letters.bury(Rejected("too large", [event]))
    letters.bury(Rejected("not wanted", [event, event]))

    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["reason"] for line in lines] == ["too large", "not wanted", "not wanted"]
    assert lines[0] == {
        "time": "2026-11-22T12:00:00Z",
        "sink": "hub",
        "reason": "too large",
        "call_id": "c",
        "properties": {"part": "1", "parts": "2"},
        "event": '{"a": "ü\n"}',
    }
    assert path.stat().st_mode & 0o077 == 0


def test_a_place_that_takes_none_is_waited_for(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="takes no dead letters"):
        DeadEvents(LetterFile(tmp_path), "hub", JumpingClock(NOW)).bury(Rejected("x", []))
