"""A software bill of materials in CycloneDX 1.6: a distribution with all its extras, and what they need, as installed.

Printed as JSON. Versions are those of the environment that this runs in, which is the one that was tested.
Source: https://cyclonedx.org/docs/1.6/json/
"""

import json
import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from typing import Any

from packaging.requirements import Requirement


def bill_of_materials(name: str) -> dict[str, Any]:
    """The bill of ``name``. What a requirement's marker excludes here is left out. Raises PackageNotFoundError."""
    root = distribution(name)
    found: dict[str, Distribution] = {}
    edges: dict[str, list[str]] = {}
    to_read = [(root, frozenset(root.metadata.get_all("Provides-Extra") or []))]
    seen: set[tuple[str, frozenset[str]]] = set()
    while to_read:
        package, extras = to_read.pop()
        reference = _reference(package)
        if (reference, extras) in seen:
            continue
        seen.add((reference, extras))
        found[reference] = package
        needed = list(_needed(package, extras))
        edges[reference] = sorted({*edges.get(reference, []), *(_reference(other) for other, _ in needed)})
        to_read += needed
    of_root = _reference(root)
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": _component(root, "application")},
        "components": [_component(found[reference], "library") for reference in sorted(found) if reference != of_root],
        "dependencies": [{"ref": reference, "dependsOn": edges[reference]} for reference in sorted(edges)],
    }


def _needed(package: Distribution, extras: frozenset[str]) -> Iterator[tuple[Distribution, frozenset[str]]]:
    for text in package.requires or []:
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            try:
                yield distribution(requirement.name), frozenset(requirement.extras)
            except PackageNotFoundError as error:
                raise SystemExit(f"{package.name} needs {requirement.name}, which is not installed here") from error


def _reference(package: Distribution) -> str:
    """Its package URL, in the normal form of names (PEP 503)."""
    return f"pkg:pypi/{re.sub(r'[-_.]+', '-', package.name).lower()}@{package.version}"


def _component(package: Distribution, kind: str) -> dict[str, Any]:
    reference = _reference(package)
    component = {
        "type": kind,
        "bom-ref": reference,
        "name": package.name,
        "version": package.version,
        "purl": reference,
    }
    if summary := package.metadata.get("Summary"):
        component["description"] = summary
    if expression := package.metadata.get("License-Expression"):
        component["licenses"] = [{"expression": expression}]
    elif names := [
        line.rpartition(" :: ")[2]
        for line in package.metadata.get_all("Classifier") or []
        if line.startswith("License ::")
    ]:
        component["licenses"] = [{"license": {"name": name}} for name in names]
    return component


if __name__ == "__main__":
    json.dump(bill_of_materials(sys.argv[1]), sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")
