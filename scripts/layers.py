"""Draws the layers of ``.importlinter`` into ``docs/architecture.md``, each room with a sentence of its docstring."""

import ast
import configparser
import re
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/architecture.md"
_DRAWING = re.compile(r"(?<=<!-- layers: made by scripts/docs -->\n).*?(?=<!-- end of layers -->)", re.DOTALL)
_NAME_WIDTH = 13


def layers() -> list[list[str]]:
    """The rooms, from the top layer to the bottom one."""
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter")
    lines = contracts["importlinter:contract:layers"]["layers"].splitlines()
    return [line.split(" | ") for line in lines if line]


def page() -> str:
    """The page as it should be."""
    return _DRAWING.sub(lambda _: f"```\n{_drawing()}\n```\n", PAGE.read_text("utf-8"))


def _drawing() -> str:
    return "\n".join(["─" * 100 + "\n" + "\n".join(map(_line, rooms)) for rooms in layers()])


def _line(room: str) -> str:
    return textwrap.fill(
        f"{room:<{_NAME_WIDTH}}{_summary(room)}", 100, subsequent_indent=" " * _NAME_WIDTH, break_on_hyphens=False
    )


def _summary(room: str) -> str:
    """The first sentence of its docstring."""
    folder = ROOT / "src/tokenweir" / room
    file = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
    text = " ".join((ast.get_docstring(ast.parse(file.read_text("utf-8"))) or "").partition("\n\n")[0].split())
    return re.split(r"(?<=[a-z)])\.(?: |$)", text)[0].replace("``", "")


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
