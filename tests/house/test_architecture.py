"""The architecture page shows the layers that imports keep to, and a way through rooms and files that are there."""

import re
from types import ModuleType

import pytest

from support.scripts import ROOT, script

PAGE = ROOT / "docs/architecture.md"
SOURCE = ROOT / "src/tokenweir"


@pytest.fixture(scope="module")
def layers() -> ModuleType:
    return script("layers")


def test_the_drawing_of_the_layers_is_current(layers: ModuleType) -> None:
    assert layers.page() == PAGE.read_text("utf-8"), "run scripts/docs"


def test_every_room_is_in_the_reading_order_and_every_file_in_it_is_there(layers: ModuleType) -> None:
    rows = re.findall(r"^\| *\d* *\| (.+?) \| (.+?) \|", PAGE.read_text("utf-8"), flags=re.MULTILINE)
    read: set[str] = set()
    for rooms, files in rows:
        named = re.findall(r"`(\w+)`", rooms)
        read |= set(named)
        for file in re.findall(r"`([\w/]+\.py)`", files):
            assert any((SOURCE / room / file).is_file() for room in [".", *named]), f"{file} of {rooms}"
    elsewhere = set(re.findall(r"`(\w+)`", PAGE.read_text("utf-8").partition("## Reading order")[2]))
    rooms_there = {room for layer in layers.layers() for room in layer} - {"__main__"}
    assert rooms_there <= read | elsewhere
    assert len(read) > 10


def test_the_files_that_contributing_names_are_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    paths = {name for name in re.findall(r"`([\w.-]+/[\w./-]*)`", text) if "NAME" not in name} - {"dist/"}
    places = (ROOT, SOURCE, ROOT / "tests")
    assert {path for path in paths if not any((place / path).exists() for place in places)} == set()
    assert len(paths) > 20
