"""What could not be read is on disk, one line each, whatever is in it."""

import json
from base64 import b64decode
from pathlib import Path

import pytest

from tokenweir.delivery import BrokerMessage
from tokenweir.delivery.base import DeadMessage
from tokenweir.delivery.dead_letters import DeadMessageFile
from tokenweir.records import SystemClock


def letter(body: bytes) -> DeadMessage:
    return DeadMessage("hub/0", BrokerMessage(body=body, properties={"call_id": "1"}, place="offset 7"), "it is odd")


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


@pytest.fixture
def file(tmp_path: Path) -> DeadMessageFile:
    return DeadMessageFile(tmp_path / "dead" / "intake.jsonl", SystemClock())


def test_a_line_says_what_and_why(file: DeadMessageFile) -> None:
    file.bury([letter('{"ä": "\n"}'.encode()), letter(b"\xff\x00")])
    text, binary = lines(file.path)
    assert text.pop("time")
    assert text == {
        "source": "hub/0",
        "place": "offset 7",
        "reason": "it is odd",
        "properties": {"call_id": "1"},
        "body": '{"ä": "\n"}',
    }
    assert b64decode(str(binary["body_base64"])) == b"\xff\x00"
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert file.path.parent.stat().st_mode & 0o777 == 0o700


def test_letters_are_added_and_half_a_line_stays_alone(file: DeadMessageFile) -> None:
    file.bury([letter(b"one")])
    with file.path.open("ab") as other:
        other.write(b'{"time": "2026')
    file.bury([letter(b"two")])
    file.bury([letter(b"three")])
    one, half, *rest = file.path.read_bytes().splitlines()
    assert half == b'{"time": "2026'
    assert [json.loads(line)["body"] for line in (one, *rest)] == ["one", "two", "three"]


def test_nothing_makes_no_file(file: DeadMessageFile) -> None:
    file.bury([])
    assert not file.path.parent.exists()
