"""What the documentation prints of the tables by which requests are judged and calls proceed."""

from collections.abc import Mapping

from ..apis import HEADS, METERED, SURFACES, TWO_WORDS, Surface
from ..wire.request_fields import HEADERS, PREFIXES, QUERY
from .phases import CELLS, Event, Phase

__all__ = ["phase_table", "request_tables", "surfaces_reference"]


def request_tables() -> dict[str, str]:
    """Heading → its table in ``docs/reference/requests.md``."""
    headers = {name.decode(): entry for name, entry in HEADERS.items()}
    headers |= {f"{beginning.decode()}…": entry for beginning, entry in PREFIXES.items()}
    return {
        "headers": _table("header", headers),
        "query": _table("field", QUERY),
    }


def phase_table() -> str:
    """What follows from each event in each phase of a call, for ``docs/life-of-a-request.md``."""
    rows = []
    for event in Event:
        for phase in Phase:
            cell = CELLS.get((phase, event))
            if cell is not None:
                names = event.name.replace("_", " ").lower(), phase.name.lower(), cell.next.name.lower()
                rows.append(f"| {names[0]} | {names[1]} | {names[2]} | {cell.record} |")
    return "\n".join(["| event | in phase | leads to | the record says |", "|---|---|---|---|", *rows])


def _table(what: str, entries: Mapping[str, tuple[str, str]]) -> str:
    rows = [f"| `{name}` | {fate} | {reason} |" for name, (fate, reason) in sorted(entries.items())]
    return "\n".join([f"| {what} | is | because |", "|---|---|---|", *rows])


def surfaces_reference() -> str:
    """All of ``docs/reference/surfaces.md``."""
    rows = [f"| {' | '.join(_COLUMNS)} |", "|---" * len(_COLUMNS) + "|"]
    rows += [f"| {' | '.join(_row(surface))} |" for surface in SURFACES]
    others = ", ".join(f"`{word}`" for word in sorted(TWO_WORDS.difference(METERED["openai"]) | HEADS))
    return _PAGE.format(table="\n".join(rows), others=others)


def _row(surface: Surface) -> list[str]:
    beginning = "" if surface.root == "openai" else f"/{surface.root}/v1/"
    paths = ", ".join(
        [f"`{beginning}{path}`" for path in surface.paths] + [f"`{path}`*" for path in surface.socket_paths]
    )
    return [
        surface.title,
        f"`{surface.name}`",
        paths,
        _model(surface),
        _BODIES[surface.body],
        "if `stream_options` asks for it" if surface.asks_for_usage else "yes",
        ", ".join(surface.units) or "not billed",
        "yes" if surface.estimate is not None or surface.asked_for is not None else "no",
        f"`{surface.otel_operation}`" if surface.otel_operation else "",
        f"`{surface.event_operation or surface.name}`",
    ]


def _model(surface: Surface) -> str:
    named = f"{'field' if surface.body == 'form' else 'member'} `model`"
    path = "path, or on v1 " if surface.has_deployment_path else ""
    return f"{path}{named}{'' if surface.needs_model else ', if any'}"


_BODIES = {"json": "JSON", "form": "form with a file", "either": "JSON, or a form with files"}

_COLUMNS = (
    *("surface", "`api`", "path", "model named in", "body", "streams tell usage", "units", "estimated"),
    *("`gen_ai.operation.name`", "`ApiOperation`"),
)

_PAGE = """# Surfaces

Made from the code by `scripts/docs`: one row for each description in `src/tokenweir/apis/`.

A call is metered if it is a POST to one of these paths, or opens a [WebSocket](../guides/realtime.md) at one with a
star, under any of the [beginnings](requests.md) that are known. `api` is its name in [records](record.md); the last two
columns are its names in spans and in custom events.

{table}

- **model named in**: what says which deployment is meant. Where a path names it, the body's `model` is not looked at.
- **body**: either is held until whole, up to `server.max_body`: it has to be read, the name of the deployment may be
  another one behind the gateway, and the call may have to be sent twice. A form (multipart/form-data) that two readers
  could read in two ways is refused. No sound is kept as a record's `request_body`.
- **streams tell usage**: where a stream has to be asked, and the client did not, the gateway asks and takes the
  answer out of the client's copy again.
- **estimated**: whether the usage of a call that was cut, or whose answer told none, is counted from its texts, its
  characters or its file. If not, the record says why there is none (`usage_reason`), never 0 tokens as if that were
  known. The texts of Messages are counted with OpenAI's vocabulary, as Claude's is not published, so these estimates
  are rough. What is not counted in tokens is in [quantities](quantities.md): seconds of a file whose answer tells none
  (WAV, MP3, MP4, Ogg, FLAC; WebM where its head says it), characters that were spoken, images that came.

Relayed without being metered (`api` `other`): everything else under these beginnings, such as {others}.
If the answer to a POST there holds a `usage`, that is recorded.
"""
