"""What the documentation prints of the simulator."""

from collections.abc import Iterable

import msgspec

from ..records.meanings import meanings
from .script import Script
from .sent import SentCall
from .surface import SimulatedRoute
from .surfaces import OTHER, SURFACES

__all__ = ["simulator_reference"]

_PAGE = """\
# Simulator

Made from the code by `scripts/docs`. How to use it: [the simulator](../guides/simulator.md).

## Surfaces

Each one is a module in `src/tokenweir/simulator/surfaces/`.

| `api` | what | addresses |
|---|---|---|
{surfaces}

## What a request can ask for

Members of the header `x-simulate`. Durations are seconds, or text such as `"20ms"`. Those that end in `_after` count
chunks that carry output of the model: 0 is before the head of the answer; an answer that has fewer chunks meets its
fault after the last of them, and an answer in one piece in the middle of its body.

| member | default | meaning |
|---|---|---|
{script}

## Its ledger

Members of a line.

| member | meaning |
|---|---|
{ledger}
"""


def simulator_reference() -> str:
    """All of ``docs/reference/simulator.md``."""
    surfaces = (
        f"| `{surface.api}` | {surface.title} | {_addresses(surface.routes)} |" for surface in (*SURFACES, OTHER)
    )
    told, fields = meanings(Script), msgspec.structs.fields(Script)
    defaults = {field.name: msgspec.json.encode(field.default, enc_hook=float).decode() for field in fields}
    script = (
        f"| `{name}` | {'' if default == 'null' else f'`{default}`'} | {told[name]} |"
        for name, default in defaults.items()
    )
    said = meanings(SentCall)
    ledger = (f"| `{name}` | {said.get(name, '')} |" for name in SentCall.__struct_fields__)
    return _PAGE.format(surfaces="\n".join(surfaces), script="\n".join(script), ledger="\n".join(ledger))


def _addresses(routes: Iterable[SimulatedRoute]) -> str:
    return ", ".join(f"`{route.method} {route.path}`" for route in routes)
