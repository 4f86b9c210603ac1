"""Builds the core with mypyc: for wheels as hatchling's hook, and in a checkout as ``scripts/compile``.

A wheel is compiled where a C compiler and Python's headers are there, and pure Python where they are not, where
compiling fails, or where ``TOKENWEIR_PURE=1`` is set; it keeps the reason, which ``tokenweir version`` shows. With
``TOKENWEIR_PURE=0`` not being able to compile is an error. Editable installs are pure.
"""

import argparse
import json
import os
import platform
import re
import runpy
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent
SOURCE = ROOT / "src"
MYPYC = "mypy[mypyc]==2.4.1"
"""The one version that all tests have passed with."""

TABLE = runpy.run_path(str(SOURCE / "tokenweir/build.py"))
RECORD = TABLE["RECORD"]

# Modules are named from the folder in which mypyc runs. Types of other packages are not looked at, so that every
# build of the same sources makes the same code, whatever is installed beside it.
SETUP = """
import sys
from mypyc.build import mypycify
from setuptools import setup
options = ["--config-file=", "--no-site-packages", "--ignore-missing-imports", "--explicit-package-bases"]
options += ["--disable-error-code=call-arg"]  # of classes whose base is not known
level, *files = sys.argv[1:]
sys.argv[1:] = ["-q", "build_ext", "--inplace"]
setup(
    name="tokenweir",
    packages=[],
    ext_modules=mypycify([*options, *files], opt_level=level, debug_level="0", group_name="tokenweir"),
)
"""


class CannotCompile(Exception):
    """Why, in one line."""


class CompiledCore(BuildHookInterface[Any]):
    """Puts what mypyc makes into the wheel."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        return [] if why_not() or self.target_name != "wheel" else [MYPYC]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel" or version == "editable":
            return
        folder = Path(tempfile.mkdtemp(prefix="tokenweir-"))
        try:
            if reason := why_not():
                raise CannotCompile(reason)
            made = compile_core(folder, "3")
        except CannotCompile as error:
            if os.environ.get("TOKENWEIR_PURE") == "0":
                raise SystemExit(f"tokenweir cannot be compiled: {error}") from None
            self.app.display_warning(f"tokenweir is installed as pure Python: {error}")
            (folder / RECORD).write_text(json.dumps({"reason": str(error)}))
            made = {folder / RECORD: f"tokenweir/{RECORD}"}
        else:
            build_data["pure_python"] = False
            build_data["tag"] = wheel_tag(list(made))
        build_data["force_include"].update({str(file): place for file, place in made.items()})


def why_not() -> str | None:
    """Why nothing can be compiled here, as far as one can tell without trying."""
    if os.environ.get("TOKENWEIR_PURE") == "1":
        return "TOKENWEIR_PURE=1 was set"
    if sys.implementation.name != "cpython":
        return f"mypyc compiles for CPython, and this is {sys.implementation.name}"
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        return f"no C compiler was found ({compiler})"
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        return f"Python's headers were not found (Python.h in {sysconfig.get_path('include')})"
    return None


def compile_core(folder: Path, level: str) -> dict[Path, str]:
    """Compiles in ``folder``, an empty one. Returns the files made → their places in a wheel. Raises
    ``CannotCompile``."""
    package = folder / "tokenweir"
    for file in (SOURCE / "tokenweir").rglob("*.py"):
        place = package / file.relative_to(SOURCE / "tokenweir")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, place)
    names = [name for name, reason in TABLE["core_modules"](package).items() if reason is None]
    files = [f"tokenweir/{name.replace('.', '/')}.py" for name in names]
    command = [sys.executable, "-c", SETUP, level, *files]
    ran = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    made = [folder / f"tokenweir__mypyc{suffix}", *(folder / file.replace(".py", suffix) for file in files)]
    if ran.returncode or not all(file.exists() for file in made):
        raise CannotCompile(_first_error(ran.stdout) or f"mypyc ended with {ran.returncode}")
    record = {
        "compiler": MYPYC.replace("mypy[mypyc]==", "mypyc "),
        "level": level,
        "made_for": sysconfig.get_config_var("SOABI"),
        "modules": TABLE["digests"](package, names),
    }
    (package / RECORD).write_text(json.dumps(record, indent=1))
    return {file: str(file.relative_to(folder)) for file in [*made, package / RECORD]}


def _first_error(output: str) -> str | None:
    lines = [line.strip() for line in output.splitlines()]
    return next((line for line in lines if re.search(r"\berror\b|Error:", line)), lines[-1] if lines else None)


def wheel_tag(files: list[Path]) -> str:
    """``cp311-cp311-manylinux_2_17_x86_64``: the oldest GNU C library that has every symbol asked for (PEP 600)."""
    python = f"cp{sys.version_info.major}{sys.version_info.minor}"
    system = re.sub("[-.]", "_", sysconfig.get_platform())
    if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        asked = {int(found[1]) for file in files for found in re.finditer(rb"GLIBC_2\.([0-9]+)\0", file.read_bytes())}
        system = system.replace("linux", f"manylinux_2_{max(17, *asked)}", 1)
    return f"{python}-{python}-{system}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/compile", description="Compiles the core of a checkout.")
    parser.add_argument("--clean", action="store_true", help="remove what was compiled")
    parser.add_argument("--into", type=Path, metavar="FOLDER", help="leave the sources alone: compile a copy of them")
    parser.add_argument("--level", default="3", help="gcc's level of optimization; 0 compiles quickest")
    given = parser.parse_args()
    target = (given.into or SOURCE).absolute()
    if given.clean:
        print(f"removed {clean(target)} files from {target}")
    elif given.into and is_current(target, given.level):
        refresh(target)
        print(f"{target} is current")
    else:
        try:
            if reason := why_not():
                raise CannotCompile(reason)
            with tempfile.TemporaryDirectory() as folder:
                made = compile_core(Path(folder), given.level)
                clean(target)
                if given.into:
                    refresh(target)
                for file, place in made.items():
                    shutil.copy(file, target / place)
        except CannotCompile as error:
            sys.exit(f"tokenweir cannot be compiled: {error}")
        print(f"compiled {len(made) - 2} modules for {sysconfig.get_config_var('SOABI')} in {target}")


def is_current(target: Path, level: str) -> bool:
    """Whether ``target`` was compiled from the sources as they are now, for this Python."""
    try:
        record = json.loads((target / "tokenweir" / RECORD).read_text())
    except FileNotFoundError:
        return False
    names = [name for name, reason in TABLE["core_modules"](SOURCE / "tokenweir").items() if reason is None]
    made_for = (record["made_for"], record["level"], record["compiler"].removeprefix("mypyc "))
    wanted = (sysconfig.get_config_var("SOABI"), level, MYPYC.partition("==")[2])
    return made_for == wanted and record["modules"] == TABLE["digests"](SOURCE / "tokenweir", names)


def refresh(target: Path) -> None:
    """Makes ``target`` a copy of the package as it is now, beside what was compiled."""
    for file in (target / "tokenweir").rglob("*.py"):
        if not (SOURCE / file.relative_to(target)).exists():
            file.unlink()
    ignored = shutil.ignore_patterns("__pycache__", "*.so", RECORD)
    shutil.copytree(SOURCE / "tokenweir", target / "tokenweir", ignore=ignored, dirs_exist_ok=True)


def clean(target: Path) -> int:
    """Removes what was compiled, and returns how many files that were."""
    files = [*target.glob("*__mypyc*.so"), *target.glob("tokenweir/*/*.so"), *target.glob(f"tokenweir/{RECORD}")]
    for file in files:
        file.unlink()
    return len(files)


if __name__ == "__main__":
    main()
