"""What is saved reads back as it was, is for its owner only, and another file is refused with a word."""

from pathlib import Path

import pytest

from support.captures import a_call, text_pieces
from tokenweir.errors import ConfigError
from tokenweir.stopwatch import CaptureFile, Connected, read_captures

CALLS = [
    a_call([*text_pieces([0.1, 0.2]), (0.3, b"\xff\x00 no text")], connected=Connected("::1", 0.1, 0.2, 0.3)),
    a_call([(0.1, b'{"choices": []}')], via="sdk", how="interrupted"),
]


def saved(path: Path) -> Path:
    with CaptureFile(path) as file:
        for call in CALLS:
            file.add(call)
    return path


def test_calls_read_back_as_they_were(tmp_path: Path) -> None:
    assert read_captures(saved(tmp_path / "c.jsonl")) == CALLS


def test_only_the_owner_may_read_also_where_a_file_was(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text("old")
    path.chmod(0o644)
    assert saved(path).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no whole capture"),
        ("{}\n", "line 1, is not of a capture"),
        ("not json\n", "line 1, is not of a capture"),
        ('{"type":"ended","at":1,"how":"complete"}\n', "does not begin as a capture"),
    ],
)
def test_another_file_is_refused_with_a_word(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said):
        read_captures(path)


def test_a_file_that_was_cut_and_one_of_a_later_version_are_refused(tmp_path: Path) -> None:
    lines = saved(tmp_path / "c.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "cut").write_text("".join(lines[:-1]))
    with pytest.raises(ConfigError, match="no whole capture"):
        read_captures(tmp_path / "cut")
    (tmp_path / "later").write_text("".join(lines).replace('"format":1', '"format":2'))
    with pytest.raises(ConfigError, match="has format 2"):
        read_captures(tmp_path / "later")


def test_where_nothing_can_be_written_that_is_said_before_anything_else(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        CaptureFile(tmp_path / "no" / "c.jsonl")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_captures(tmp_path / "nothing")
