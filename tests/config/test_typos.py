"""Whatever single letter goes wrong in the name of a setting, the setting that was meant is named."""

import string
from typing import Any

import msgspec
from hypothesis import given, strategies as st

from tokenweir.config.coercion import chosen_by, fields, item_of, without_none
from tokenweir.config.model import Config
from tokenweir.config.reading import read_tree
from tokenweir.config.setting_path import Origins
from tokenweir.delivery.sinks import KINDS

LETTERS = string.ascii_lowercase + "_"


def tables(kind: type[msgspec.Struct], path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], list[str]]]:
    """Every table there is, by the names that lead to it, with the names of its settings."""
    found = [(path, list(fields(kind)))]
    for name, field in fields(kind).items():
        if (choice := chosen_by(field.type)) is not None:
            found += [one for chosen, table in choice.tables.items() for one in tables(table, (*path, name, chosen))]
            continue
        inner = item_of(field.type) or without_none(field.type)
        if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            found += tables(inner, (*path, name))
    return found


TABLES = tables(Config)
LISTS = {"upstreams", "deployments", "groups", "callers", "targets", "sinks", "profiles"} | {
    *("prices", "exchange_rates", "adjustments", "reservations", "hosted", "rates"),
}


def typos(name: str) -> st.SearchStrategy[str]:
    """The name with one letter changed, left out, added, or swapped with the next."""
    place = st.integers(0, len(name) - 1)
    letter = st.sampled_from(LETTERS)
    changed = st.builds(lambda at, other: name[:at] + other + name[at + 1 :], place, letter)
    left_out = st.builds(lambda at: name[:at] + name[at + 1 :], place)
    added = st.builds(lambda at, other: name[:at] + other + name[at:], place, letter)
    swapped = st.builds(lambda at: name[:at] + name[at + 1] + name[at] + name[at + 2 :], st.integers(0, len(name) - 2))
    return (changed | left_out | added | swapped).filter(lambda typo: typo != name)


@st.composite
def misspelt(draw: st.DrawFn) -> tuple[tuple[str, ...], str, str]:
    """A table's path, the name that was meant, and what was written."""
    path, names = draw(st.sampled_from(TABLES))
    meant = draw(st.sampled_from(names))
    return path, meant, draw(typos(meant).filter(lambda typo: typo not in names))


@given(misspelt())
def test_a_typo_in_any_known_name_is_refused_with_the_name_that_was_meant(
    case: tuple[tuple[str, ...], str, str],
) -> None:
    path, meant, typo = case
    tree: Any = {typo: "x"}
    for at, name in reversed(list(enumerate(path))):
        if name in KINDS:
            tree = (name, tree)
        elif isinstance(tree, tuple):
            tree = {"kind": tree[0], name: tree[1]}
        else:
            is_list = name in LISTS or (at == 0 and name == "limits")  # others have a table of that name inside
            tree = {name: [tree] if is_list else tree}
    found = read_tree(tree, Origins("my.toml", {})).problems
    assert any(problem.endswith(f"{typo}: did you mean `{meant}`?") or problem == top(typo, meant) for problem in found)


def top(typo: str, meant: str) -> str:
    return f"my.toml: [{typo}]: did you mean `{meant}`?"
