#!/usr/bin/env python3
"""Puts a Function App and everything it needs into one folder, ready to be deployed as it is: nothing is built or
downloaded where it runs, which may be a network without a way out.

    package.py meter        makes deploy/azure/functions/meter/package

Tokenweir comes from this repository, compiled where a Python of the app's version and a C compiler are here, on Linux;
the rest comes from the package index that pip is set up for. `azd deploy` runs this; it
needs nothing but Python with pip, on any system.
"""

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]

# Where Functions looks for packages beside the app.
PACKAGES = Path(".python_packages/lib/site-packages")
# Linux as the Functions images have it. `pythonVersion` in modules/function.bicep says the same.
PLATFORMS = (*(f"manylinux_2_{minor}_x86_64" for minor in range(28, 16, -1)), "manylinux2014_x86_64")
PYTHON = "3.12"


def package(app: Path) -> Path:
    made = app / "package"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    # The app, what the host reads, and a configuration of Tokenweir's if there is one.
    for file in (app / "function_app.py", app / "host.json", *app.glob("*.toml")):
        shutil.copy(file, made)
    with tempfile.TemporaryDirectory() as folder:
        wheel = tokenweir_wheel(Path(folder))
        wanted = (app / "requirements.txt").read_text("utf-8")
        # Ours by its place: whatever an index has under that name is not it.
        wanted = re.sub(r"^(tokenweir(\[.*\])?)$", rf"\1 @ {wheel.as_uri()}", wanted, flags=re.MULTILINE)
        requirements = Path(folder, "requirements.txt")
        requirements.write_text(wanted, "utf-8")
        target = ["--target", made / PACKAGES, "--python-version", PYTHON, "--implementation", "cp"]
        platforms = [part for name in PLATFORMS for part in ("--platform", name)]
        pip("install", "--quiet", "--only-binary=:all:", "--no-compile", *target, *platforms, "-r", requirements)
    return made


def tokenweir_wheel(folder: Path) -> Path:
    """Compiled where this machine can compile for the system that it will run on, else in pure Python."""
    build = ("wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT)
    python = target_python()
    if python is not None:
        pip("--python", python, *build)
        [wheel] = folder.glob("tokenweir-*.whl")
        if wheel.name.endswith(("-none-any.whl", *(f"-{name}.whl" for name in PLATFORMS))):
            print(f"packaging {wheel.name}", file=sys.stderr)
            return wheel
        wheel.unlink()
    pip(*build, TOKENWEIR_PURE="1")
    print(f"packaging Tokenweir in pure Python: no Python {PYTHON} for Linux on x86-64 is here", file=sys.stderr)
    return next(folder.glob("tokenweir-*.whl"))


def target_python() -> str | None:
    """An interpreter of the version that will run it, if this machine is of its kind."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        return None
    asked = "import sys; print('%d.%d' % sys.version_info[:2])"
    for python in (sys.executable, shutil.which(f"python{PYTHON}")):
        if python and subprocess.run([python, "-c", asked], capture_output=True, text=True).stdout.strip() == PYTHON:
            return python
    return None


def pip(*arguments: str | Path, **variables: str) -> None:
    environ = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **variables}
    subprocess.run([sys.executable, "-m", "pip", *map(str, arguments)], check=True, env=environ)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Packages a Function App for deployment.")
    parser.add_argument("app", help="a folder beside this file")
    print(package(HERE / parser.parse_args().app))
