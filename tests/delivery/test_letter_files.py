"""What could not be read is on disk, one line each, whatever is in it."""

import json
from base64 import b64decode
from pathlib import Path

import pytest

from tokenweir.delivery import BrokerMessage
from tokenweir.delivery.base import DeadMessage
from tokenweir.delivery.dead_letters import DeadMessages
from tokenweir.delivery.letter_files import LetterFile
from tokenweir.records import SystemClock


def letter(body: bytes) -> DeadMessage:
    return DeadMessage("hub/0", BrokerMessage(body=body, properties={"call_id": "1"}, place="offset 7"), "it is odd")


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "dead" / "intake.jsonl"


@pytest.fixture
def letters(file: Path) -> DeadMessages:
    return DeadMessages(LetterFile(file), SystemClock())


def test_a_line_says_what_and_why(file: Path, letters: DeadMessages) -> None:
    letters.bury([letter('{"ä": "\n"}'.encode()), letter(b"\xff\x00")])
    text, binary = lines(file)
    assert text.pop("time")
    assert text == {
        "source": "hub/0",
        "place": "offset 7",
        "reason": "it is odd",
        "properties": {"call_id": "1"},
        "body": '{"ä": "\n"}',
    }
    assert b64decode(str(binary["body_base64"])) == b"\xff\x00"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_letters_are_added_and_half_a_line_is_cut_off(file: Path, letters: DeadMessages) -> None:
    letters.bury([letter(b"one")])
    with file.open("ab") as other:
        other.write(b'{"time": "2026')
    letters.bury([letter(b"two")])
    letters.bury([letter(b"three")])
    assert [line["body"] for line in lines(file)] == ["one", "two", "three"]


def test_nothing_makes_no_file(file: Path, letters: DeadMessages) -> None:
    letters.bury([])
    assert not file.parent.exists()
