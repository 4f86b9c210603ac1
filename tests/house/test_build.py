"""The compiled core: which modules it has, that they run, and that a build out of date is not used."""

import importlib
import json
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import hatch_build
import pytest

from tokenweir import build
from tokenweir.build import core_modules, digests, require_whole_build, running_build
from tokenweir.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path(build.__file__).parent
MODULES = core_modules(PACKAGE)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A small one, with one module that was compiled."""
    (tmp_path / "wire").mkdir()
    (tmp_path / "wire/sse.py").write_text("print()")
    (tmp_path / f"wire/sse{sysconfig.get_config_var('EXT_SUFFIX')}").touch()
    record = {"compiler": "mypyc 9", "made_for": "cpython-9", "modules": digests(tmp_path, ["wire.sse"])}
    (tmp_path / "build.json").write_text(json.dumps(record))
    return tmp_path


@pytest.mark.parametrize("name", [name for name, reason in MODULES.items() if reason is None])
def test_a_module_of_the_core_is_compiled_where_the_build_says_so(name: str) -> None:
    file = importlib.import_module(f"tokenweir.{name}").__file__ or ""
    suffix = sysconfig.get_config_var("EXT_SUFFIX") if running_build().compiled else ".py"
    assert file.endswith(f"{name.rpartition('.')[2]}{suffix}")


def test_what_is_not_compiled_has_a_reason_and_is_there() -> None:
    assert sum(reason is None for reason in MODULES.values()) > 40
    assert [name for name in build.INTERPRETED if "." in name and name not in MODULES] == []


def test_a_module_with_classes_of_msgspec_is_not_compiled(tmp_path: Path) -> None:
    for name, source in {
        "made": "class Noun(msgspec.Struct):\n  a: int",
        "derived": "from .made import Noun\nclass Other(Noun, gc=False):\n  b: int",
        "behaviour": "from .made import Noun\nclass Reader:\n  def read(self) -> Noun: ...",
    }.items():
        (tmp_path / "wire").mkdir(exist_ok=True)
        (tmp_path / f"wire/{name}.py").write_text(source)
    assert [name for name, reason in core_modules(tmp_path).items() if reason is None] == ["wire.behaviour"]


def test_a_build_is_told_in_words(package: Path) -> None:
    assert f"{running_build(package)}" == "compiled by mypyc 9, 1 of 1 modules"
    next(package.glob("wire/*.so")).unlink()
    assert f"{running_build(package)}" == "pure Python (it was compiled for cpython-9)"
    (package / "build.json").write_text('{"reason": "no C compiler was found (cc)"}')
    assert f"{running_build(package)}" == "pure Python (no C compiler was found (cc))"
    (package / "build.json").unlink()
    assert f"{running_build(package)}" == "pure Python"


def test_a_source_that_changed_after_it_was_compiled_is_found(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (package / "wire/sse.py").write_text("print(1)")
    found = running_build(package)
    assert found.stale == ("wire.sse",)
    assert "scripts/compile" in (found.hint or "")
    monkeypatch.setattr(build, "running_build", lambda: found)
    with pytest.raises(ConfigError, match="1 of 1 modules, of which 1 are not what their sources say; compile again"):
        require_whole_build()


def test_the_build_compiles_with_the_version_that_is_developed_with() -> None:
    developed = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["dependency-groups"]["dev"]
    assert hatch_build.MYPYC in developed


def test_a_build_says_why_it_is_not_compiled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CC", f"{tmp_path}/no-compiler -O2")
    assert hatch_build.why_not() == f"no C compiler was found ({tmp_path}/no-compiler)"
    monkeypatch.setenv("TOKENWEIR_PURE", "1")
    assert hatch_build.why_not() == "TOKENWEIR_PURE=1 was set"


def test_a_wheel_is_tagged_with_the_oldest_library_that_has_its_symbols(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("sysconfig.get_platform", lambda: "linux-x86_64")
    monkeypatch.setattr("platform.libc_ver", lambda: ("glibc", "2.36"))
    old, new = tmp_path / "old.so", tmp_path / "new.so"
    old.write_bytes(b"GLIBC_2.2.5\0GLIBC_2.14\0")
    new.write_bytes(b"GLIBC_2.33\0")
    assert re.fullmatch(r"cp3\d+-cp3\d+-manylinux_2_17_x86_64", hatch_build.wheel_tag([old]))
    assert hatch_build.wheel_tag([old, new]).endswith("-manylinux_2_33_x86_64")


def border(sources: Path) -> str:
    """The digest of what hostile values come to; a process that they end has none."""
    command = [sys.executable, "-m", "benchmarks.border", "--rounds", "2200", "--seed", "20261130"]
    environ = {**os.environ, "PYTHONPATH": str(sources)}
    ran = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout.splitlines()[-1]


def test_hostile_values_end_no_process_and_come_to_the_same_in_every_build() -> None:
    here = border(PACKAGE.parent)
    assert PACKAGE.parent == ROOT / "src" or here == border(ROOT / "src")
