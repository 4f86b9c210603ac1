"""What can be said of a Dockerfile without Docker: its instructions, and what each of its stages comes down to."""

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Instruction", "instructions", "problems"]

_SECRETS = re.compile(r"(?i)(password|secret|token|key)=")


@dataclass(frozen=True)
class Instruction:
    line: int
    name: str
    words: str
    stage: int


def instructions(text: str) -> list[Instruction]:
    """Comments and continued lines are taken out; ``stage`` counts from 0."""
    found: list[Instruction] = []
    stage, begun, first = -1, "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#") or not (line.strip() or begun):
            continue
        first = first if begun else number
        begun += line.strip()
        if begun.endswith("\\"):
            begun = begun[:-1]
            continue
        name, _, words = begun.partition(" ")
        stage += name.upper() == "FROM"
        found.append(Instruction(first, name.upper(), words.strip(), stage))
        begun = ""
    return found


def problems(text: str, context: Path) -> list[str]:
    """Sentences about what a cluster would refuse, a reviewer would ask about, or a build would not find."""
    found = instructions(text)
    last = max((each.stage for each in found), default=-1)
    said = [problem for each in found for problem in _problems_of(each, context)]
    users = [each.words for each in found if each.name == "USER" and each.stage == last]
    if not users or not re.fullmatch(r"[1-9]\d*(:\d+)?", users[-1]):
        said.append("the image does not run as a numbered user other than root")
    if not any(each.name == "ENTRYPOINT" and each.stage == last for each in found):
        said.append("the image does not say what runs")
    return said


def _problems_of(each: Instruction, context: Path) -> list[str]:
    said = []
    match each.name:
        case "ADD":
            said.append("ADD fetches and unpacks; COPY does neither")
        case "FROM" if not re.search(r":[\w.-]+|@sha256:", each.words) or ":latest" in each.words:
            said.append(f"{each.words} says no version")
        case "CMD" | "ENTRYPOINT" if not _is_exec(each.words):
            said.append(f"{each.name} starts a shell, which takes the signals")
        case "RUN" if re.search(r"\b(curl|wget|sudo)\b", each.words):
            said.append("RUN fetches past the package registries, or asks to be root")
        case "ENV" | "ARG" if _SECRETS.search(each.words):
            said.append(f"{each.name} keeps a secret in the image")
        case "COPY" if "--from=" not in each.words:
            *sources, _ = [word for word in shlex.split(each.words) if not word.startswith("--")]
            said += [f"there is no {source} to copy" for source in sources if not (context / source).exists()]
    return [f"line {each.line}: {problem}" for problem in said]


def _is_exec(words: str) -> bool:
    try:
        return isinstance(json.loads(words), list)
    except ValueError:
        return False
