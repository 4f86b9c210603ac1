#!/usr/bin/env python3
"""Puts a Function App and everything it needs into one folder, ready to be deployed as it is: nothing is built or
downloaded where it runs, which may be a network without a way out.

    package.py meter          makes deploy/azure/functions/meter/package
    package.py meter --lock   chooses the newest versions of what it needs, and writes them into its requirements.txt

Tokenweir comes from this repository, compiled where a Python of the app's version and a C compiler are here, on Linux;
the rest comes from the package index that pip is set up for, in the versions and with the hashes of requirements.txt.
`azd deploy` runs this; it needs nothing but Python with pip 23 or later, on any system.

TOKENWEIR_EXTENSION_BUNDLE names the zip of an extension bundle to put in as well, for networks that do not let the
Functions host fetch it: Microsoft.Azure.Functions.ExtensionBundle.VERSION_linux-x64.zip.
"""

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]

# Where Functions looks for packages beside the app.
PACKAGES = Path(".python_packages/lib/site-packages")
# Linux as the Functions images have it. `pythonVersion` in modules/function.bicep says the same.
PLATFORMS = (*(f"manylinux_2_{minor}_x86_64" for minor in range(28, 16, -1)), "manylinux2014_x86_64")
PYTHON = "3.12"
# What a wheel of Tokenweir is made of.
SOURCES = ("src", "pyproject.toml", "hatch_build.py", "README.md", "LICENSE")
# Where the host looks before it downloads: ConfigureProbingPaths of azure-functions-host, and what must be in it.
BUNDLES = Path(".azureFunctions/ExtensionBundles")
BUNDLE_FILE = "bundle.json"


def package(app: Path) -> Path:
    made = app / "package"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    # The app, what the host reads, and a configuration of Tokenweir's if there is one.
    for file in (app / "function_app.py", app / "host.json", *app.glob("*.toml")):
        shutil.copy(file, made)
    with tempfile.TemporaryDirectory() as folder:
        wheel = tokenweir_wheel(Path(folder))
        requirements = app / "requirements.txt"
        install = ("install", "--quiet", "--no-deps", "--no-compile", "--target", made / PACKAGES, *for_target())
        pip(*install, "--require-hashes", "-r", requirements)
        pip(*install, wheel)
    if archive := os.environ.get("TOKENWEIR_EXTENSION_BUNDLE"):
        add_bundle(made, Path(archive))
    return made


def lock(app: Path) -> None:
    """All that ``requirements.in`` needs, each by version and hash: nobody can put another file in its place. Tokenweir
    itself is not named, because it is on no index, and whoever took the name there would be asked for it."""
    with tempfile.TemporaryDirectory() as folder:
        wheel = tokenweir_wheel(Path(folder))
        wanted = (app / "requirements.in").read_text("utf-8")
        wanted = re.sub(r"^(tokenweir(\[.*\])?)$", rf"\1 @ {wheel.as_uri()}", wanted, flags=re.MULTILINE)
        requirements, report = Path(folder, "requirements.in"), Path(folder, "report.json")
        requirements.write_text(wanted, "utf-8")
        target = ("--target", Path(folder, "nowhere"), *for_target())
        pip("install", "--quiet", "--dry-run", "--report", report, *target, "-r", requirements)
        chosen = json.loads(report.read_text("utf-8"))["install"]
    lines = [
        f"{re.sub('[-_.]+', '-', package['metadata']['name']).lower()}=={package['metadata']['version']} "
        f"--hash=sha256:{package['download_info']['archive_info']['hashes']['sha256']}\n"
        for package in chosen
        if package["metadata"]["name"] != "tokenweir"
    ]
    title = f"# Made by ../package.py --lock, for Python {PYTHON} on Linux; requirements.in says what for.\n"
    (app / "requirements.txt").write_text(title + "".join(sorted(lines)), "utf-8")


def for_target() -> list[str]:
    platforms = [part for name in PLATFORMS for part in ("--platform", name)]
    return ["--only-binary=:all:", "--python-version", PYTHON, "--implementation", "cp", *platforms]


def add_bundle(made: Path, archive: Path) -> None:
    bundle = json.loads((made / "host.json").read_text("utf-8")).get("extensionBundle")
    if bundle is None:
        return  # the host asks for none
    named = re.fullmatch(re.escape(bundle["id"]) + r"\.(\d+\.\d+\.\d+)(_.+)?\.zip", archive.name)
    if named is None:
        sys.exit(f"TOKENWEIR_EXTENSION_BUNDLE: {archive.name} is not {bundle['id']}.VERSION_linux-x64.zip")
    folder = made / BUNDLES / bundle["id"] / named[1]
    with zipfile.ZipFile(archive) as zipped:
        zipped.extractall(folder)
    if not (folder / BUNDLE_FILE).exists():
        sys.exit(f"TOKENWEIR_EXTENSION_BUNDLE: {archive} has no {BUNDLE_FILE}, so it is no extension bundle")


def tokenweir_wheel(folder: Path) -> Path:
    """Compiled where this machine can compile for the system that it will run on, else in pure Python. Made of a copy,
    as what is built must not change meanwhile."""
    sources = folder / "tokenweir"
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, sources / name, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
        else:
            sources.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, sources)
    build = ("wheel", "--quiet", "--no-deps", "--wheel-dir", folder, sources)
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
    parser.add_argument("--lock", action="store_true", help="write its requirements.txt anew instead")
    asked = parser.parse_args()
    if asked.lock:
        lock(HERE / asked.app)
    else:
        print(package(HERE / asked.app))
