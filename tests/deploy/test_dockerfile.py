"""The image's recipe, as far as it can be checked without Docker. `test_container.py` runs what it describes."""

import fnmatch
import re
import tomllib
from pathlib import Path

import pytest

from support.dockerfile import instructions, problems

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "Dockerfile").read_text("utf-8")


def test_it_is_one_that_a_cluster_takes() -> None:
    assert problems(TEXT, ROOT) == []


def test_the_builder_is_sent_what_is_copied() -> None:
    """Everything is left out but for the exceptions, so each thing that is copied needs one."""
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert "*" in lines
    kept = [line.removeprefix("!") for line in lines if line.startswith("!")]
    copied = [each for each in instructions(TEXT) if each.name == "COPY" and "--from" not in each.words]
    sources = [word for each in copied for word in each.words.split()[:-1] if not word.startswith("--")]
    assert sources
    assert [name for name in sources if not any(fnmatch.fnmatch(name, f"{pattern}*") for pattern in kept)] == []


def test_its_extras_are_those_of_the_project() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    [asked] = re.findall(r"^ARG EXTRAS=(\S+)$", TEXT, re.MULTILINE)
    assert set(asked.split(",")) <= set(extras)


FINE = 'FROM python:3.12-slim\nUSER 10001:10001\nENTRYPOINT ["tokenweir"]\n'
BROKEN = [
    ("FROM python:3.12-slim", "FROM python", "line 1: python says no version"),
    ("3.12-slim", "latest", "line 1: python:latest says no version"),
    ("USER 10001:10001\n", "", "the image does not run as a numbered user other than root"),
    ("10001:10001", "root", "the image does not run as a numbered user other than root"),
    ("10001:10001", "0", "the image does not run as a numbered user other than root"),
    ("10001:10001", "tokenweir", "the image does not run as a numbered user other than root"),
    ('["tokenweir"]', "tokenweir", "line 3: ENTRYPOINT starts a shell, which takes the signals"),
    ('ENTRYPOINT ["tokenweir"]', "", "the image does not say what runs"),
    ("USER", "ADD https://example.com/x.tar.gz /\nUSER", "line 2: ADD fetches and unpacks; COPY does neither"),
    (
        "USER",
        "RUN a \\\n  && curl x\nUSER",
        "line 2: RUN fetches past the package registries, or asks to be root",
    ),
    ("USER", "ENV API_KEY=1\nUSER", "line 2: ENV keeps a secret in the image"),
    ("USER", "COPY nothing /\nUSER", "line 2: there is no nothing to copy"),
]


@pytest.mark.parametrize(("old", "new", "expected"), BROKEN)
def test_what_is_wrong_is_found(old: str, new: str, expected: str) -> None:
    assert old in FINE
    assert expected in problems(FINE.replace(old, new), ROOT)


def test_what_is_fine_is_let_be() -> None:
    assert problems(FINE, ROOT) == []


def test_only_the_last_stage_is_what_runs() -> None:
    assert problems(FINE + "FROM python:3.12-slim\n", ROOT) == [
        "the image does not run as a numbered user other than root",
        "the image does not say what runs",
    ]
