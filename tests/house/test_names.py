"""A class name means one class in the whole house, so that a reader who searches for it finds it."""

import ast
from collections import defaultdict
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / "src/tokenweir"


def test_no_two_classes_have_one_name() -> None:
    places = defaultdict(list)
    for file in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(f"{file.relative_to(SOURCE)}:{node.lineno}")
    several = {name: where for name, where in places.items() if len(where) > 1}
    assert several == {}, "give each a name of its own"
