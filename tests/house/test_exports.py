"""What a room lists as public is what it exports."""

import importlib
import pkgutil
from types import ModuleType

import pytest

import tokenweir

ROOMS = [module.name for module in pkgutil.iter_modules(tokenweir.__path__, "tokenweir.") if module.ispkg]


@pytest.mark.parametrize("name", ROOMS)
def test_a_room_lists_what_it_exports(name: str) -> None:
    room = importlib.import_module(name)
    exported = {
        name for name, value in vars(room).items() if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert exported == set(room.__all__)


def test_the_rooms_were_found() -> None:
    assert {"tokenweir.gateway", "tokenweir.cli", "tokenweir.records"} <= set(ROOMS)
