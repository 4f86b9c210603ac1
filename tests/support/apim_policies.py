"""The policies of ``deploy/azure/apim``, run for real: their C# expressions compiled by Mono, their statements by a
runner that does what API Management documents of each (``apim/Runner.cs``)."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

__all__ = ["POLICIES", "PolicyRunner", "build_policy_runner", "expressions_of", "whole_policies"]

POLICIES = Path(__file__).parents[2] / "deploy" / "azure" / "apim"
_SOURCES = Path(__file__).parent / "apim"
_JSON_LIBRARIES = ["/usr/lib/cli/Newtonsoft.Json-5.0/Newtonsoft.Json.dll"]
# What the documentation's own examples take for granted.
_USINGS = ["System", "System.Collections.Generic", "System.Linq", "System.Text", "System.Text.RegularExpressions"]
_USINGS += ["Newtonsoft.Json", "Newtonsoft.Json.Linq"]


def whole_policies() -> dict[str, ElementTree.Element]:
    """Every API policy by its file's name, its fragments put where they are included."""
    fragments = {"tokenweir-" + path.stem: ElementTree.parse(path).getroot() for path in _files("fragments/*.xml")}
    policies = {path.name: ElementTree.parse(path).getroot() for path in _files("*.xml")}
    for root in policies.values():
        for parent in list(root.iter()):
            for place, child in enumerate(list(parent)):
                if child.tag == "include-fragment":
                    parent[place] = fragments[child.attrib["fragment-id"]]
    return policies


def expressions_of(root: ElementTree.Element) -> list[str]:
    """Every policy expression, in the order of the document."""
    written = [text for element in root.iter() for text in (*element.attrib.values(), element.text or "")]
    return [text.strip() for text in written if text.strip().startswith(("@(", "@{"))]


class PolicyRunner:
    """A compiled runner and the policies it runs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def run(self, calls: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """What came of each call; ``Runner.cs`` says how calls and outcomes are written."""
        lines = "".join(json.dumps(call) + "\n" for call in calls)
        return [json.loads(line) for line in self._start(stdin=lines).splitlines()]

    def members(self) -> set[tuple[str, str]]:
        """Type and name of everything that the expressions call."""
        lines = self._start("--members").splitlines()
        return {(type_, name) for type_, name in (line.rsplit(" ", 1) for line in lines)}

    def _start(self, *arguments: str, stdin: str = "") -> str:
        command = ["mono", "runner.exe", *arguments]
        ran = subprocess.run(command, cwd=self._folder, input=stdin, capture_output=True, text=True, timeout=60)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout


def build_policy_runner(folder: Path) -> PolicyRunner:
    """Compiled into ``folder``. Skips where there is no Mono."""
    library = next((path for path in _JSON_LIBRARIES if Path(path).exists()), None)
    if shutil.which("mcs") is None or shutil.which("mono") is None or library is None:
        pytest.skip(
            "SKIPPED LOUDLY: API Management's policy expressions are not run, because this machine lacks Mono: "
            "apt-get install mono-mcs mono-runtime libnewtonsoft-json5.0-cil"
        )
    shutil.copy(library, folder / "Newtonsoft.Json.dll")
    methods: list[str] = []
    for name, root in whole_policies().items():
        _name_expressions(root, methods)
        ElementTree.ElementTree(root).write(folder / name)
    usings = "".join(f"using {name};\n" for name in _USINGS)
    (folder / "Expressions.cs").write_text(f"{usings}public static class Expressions {{\n{''.join(methods)}}}\n")
    _compile(folder, "context.dll", _SOURCES / "Context.cs")
    _compile(folder, "expressions.dll", folder / "Expressions.cs", "context.dll")
    _compile(folder, "runner.exe", _SOURCES / "Runner.cs", "context.dll", "expressions.dll")
    return PolicyRunner(folder)


def _name_expressions(root: ElementTree.Element, methods: list[str]) -> None:
    """Moves every expression into a method, and leaves the method's number in its place."""

    def named(text: str) -> str:
        body = text.strip()
        if body.startswith("@("):
            body = f"return {body[2:-1]};"
        elif body.startswith("@{"):
            body = body[2:-1]
        else:
            return text
        methods.append(f"public static object E{len(methods)}(Context context) {{ {body} }}\n")
        return f"expression:{len(methods) - 1}"

    for element in root.iter():
        element.attrib.update({name: named(value) for name, value in element.attrib.items()})
        if element.text and not re.fullmatch(r"\s*", element.text):
            element.text = named(element.text)


def _compile(folder: Path, name: str, source: Path, *references: str) -> None:
    kind = "exe" if name.endswith(".exe") else "library"
    used = [f"-r:{one}" for one in ["Newtonsoft.Json.dll", "System.Core.dll", "System.Xml.Linq.dll", *references]]
    command = ["mcs", "-warnaserror", "-langversion:7", f"-target:{kind}", f"-out:{name}", *used, str(source)]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def _files(pattern: str) -> list[Path]:
    return sorted(POLICIES.glob(pattern))
