"""Documents and code say the same."""

import re
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from typer.main import get_command

import tokenweir
from support.call_records import a_call
from tokenweir import errors
from tokenweir.cli import app
from tokenweir.cli.query import language_of
from tokenweir.config.reference import settings_reference
from tokenweir.delivery.sinks.formats import SHAPES, envelope
from tokenweir.gateway.reference import phase_table, request_tables, surfaces_reference
from tokenweir.ledger import open_ledger
from tokenweir.pricing import METERS, PriceSettings, meters_table
from tokenweir.providers.reference import providers_reference
from tokenweir.records import QUANTITIES, CallRecord, Usage
from tokenweir.records.meanings import quantities_table, record_table
from tokenweir.simulator.reference import simulator_reference

ROOT = Path(__file__).resolve().parents[2]
GATEWAY = ROOT / "src/tokenweir/gateway"
STEPS = ("accept", "admit", "dispatch", "response", "record_builder", "call")


def headings(path: Path) -> list[str]:
    return re.findall(r"^#+ (.+)$", path.read_text("utf-8"), flags=re.MULTILINE)


def test_the_reference_of_settings_is_current() -> None:
    page = (ROOT / "docs/reference/settings.md").read_text("utf-8")
    assert page == settings_reference(), "run scripts/docs"


def test_the_reference_of_surfaces_is_current() -> None:
    page = (ROOT / "docs/reference/surfaces.md").read_text("utf-8")
    assert page == surfaces_reference(), "run scripts/docs"


def test_the_reference_of_providers_is_current() -> None:
    assert (ROOT / "docs/reference/providers.md").read_text("utf-8") == providers_reference(), "run scripts/docs"


def test_the_reference_of_the_simulator_is_current() -> None:
    assert (ROOT / "docs/reference/simulator.md").read_text("utf-8") == simulator_reference(), "run scripts/docs"


def test_the_reference_of_requests_has_the_tables_that_they_are_judged_by() -> None:
    page = (ROOT / "docs/reference/requests.md").read_text("utf-8")
    assert [name for name, table in request_tables().items() if f"\n\n{table}\n\n" not in page] == []


def test_the_life_of_a_request_has_a_heading_for_each_step() -> None:
    told = headings(ROOT / "docs/life-of-a-request.md")
    for step in STEPS:
        assert (GATEWAY / f"{step}.py").is_file()
        assert step in told


def test_the_life_of_a_request_draws_or_names_each_part_of_the_gateway() -> None:
    page = (ROOT / "docs/life-of-a-request.md").read_text("utf-8")
    drawing = page.split("```")[1]
    parts = re.findall(r"tokenweir\.gateway\.(\w+)", (ROOT / ".importlinter").read_text("utf-8"))
    assert len(parts) > 10
    assert [part for part in parts if f"{part}.py" not in page and not re.search(rf"\b{part}\b", drawing)] == []
    named = set(re.findall(r"\b[a-z]+_[a-z]+\b", drawing))
    assert [name for name in named if not (GATEWAY / f"{name}.py").is_file()] == []


def test_the_life_of_a_request_has_the_table_that_calls_follow() -> None:
    page = (ROOT / "docs/life-of-a-request.md").read_text("utf-8")
    assert f"\n\n{phase_table()}\n" in page, "run scripts/docs"


def test_the_version_is_the_changelogs_newest_entry() -> None:
    newest = next(heading for heading in headings(ROOT / "CHANGELOG.md") if heading[0].isdigit())
    assert newest.split()[0] == tokenweir.__version__


def test_the_readme_names_the_two_commands_to_start_with() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert "scripts/demo" in readme
    assert "scripts/test" in readme


def test_the_reference_of_the_record_has_the_table_of_its_columns() -> None:
    page = (ROOT / "docs/reference/record.md").read_text("utf-8")
    assert f"\n\n{record_table()}\n\n" in page, "run scripts/docs"


def test_the_reference_of_quantities_has_the_table_of_their_names() -> None:
    page = (ROOT / "docs/reference/quantities.md").read_text("utf-8")
    assert f"\n\n{quantities_table()}\n\n" in page, "run scripts/docs"


def test_every_meter_is_explained_in_the_reference_and_is_a_price_and_of_something_that_is_recorded() -> None:
    page = (ROOT / "docs/reference/meters.md").read_text("utf-8")
    assert f"\n\n{meters_table()}\n\n" in page, "run scripts/docs"
    assert set(METERS) <= set(PriceSettings.__struct_fields__)
    assert {meter.part for meter in METERS.values()} <= {"", *Usage.__struct_fields__, *QUANTITIES}


def test_every_key_of_every_event_is_explained() -> None:
    page = (ROOT / "docs/reference/events.md").read_text("utf-8")
    record = CallRecord(call_id="c", started_at=datetime(2026, 1, 1, tzinfo=UTC), deployment="d", stream=True)
    part = msgspec.json.decode(envelope(record, {"call_id": "c", "part": "1", "parts": "2"}, b""))
    keys = [*SHAPES["sse-proxy"](record), *SHAPES["apim"](record), *part]
    assert [key for key in keys if f"`{key}`" not in page] == []


def test_every_link_to_a_file_leads_to_one() -> None:
    pages = [page for page in ROOT.glob("**/*.md") if not {".venv", ".venv-oldest", "node_modules"} & set(page.parts)]
    assert len(pages) > 20
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text())
        if not target.startswith(("http://", "https://")) and not (page.parent / target).exists()
    ]
    assert broken == []


def test_every_page_is_in_the_index() -> None:
    index = ROOT / "docs/README.md"
    listed = {(index.parent / target).resolve() for target in re.findall(r"\]\(([^)#\s]+)", index.read_text("utf-8"))}
    pages = {page.resolve() for page in (ROOT / "docs").rglob("*.md")} - {index}
    assert sorted(map(str, pages - listed)) == []


def test_every_query_that_is_shown_runs() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    queries = [text for page in pages for text in re.findall(r"^tokenweir query '(.+)'", page.read_text("utf-8"), re.M)]
    assert len(queries) >= 5
    ledger = open_ledger("duckdb::memory:")
    ledger.post([a_call(request_body="{}")], "relay-1", "1")
    for query in queries:
        ask = {"kql": ledger.query_kql, "sql": ledger.query_sql}[language_of(query)]
        assert ask(query).rows, query
    ledger.close()


def test_every_option_of_the_streaming_tool_that_is_shown_exists() -> None:
    command = get_command(app).commands["stream"]  # type: ignore[attr-defined]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    for page in ("streaming-tool.md", "why-is-my-stream-slow.md"):
        shown = re.findall(r"(?<![\w-])--[a-z][a-z-]*", (ROOT / "docs/guides" / page).read_text("utf-8"))
        assert len(set(shown)) >= 8
        assert set(shown) - known == set(), page


def test_every_error_a_caller_can_get_is_explained_with_its_status() -> None:
    page = (ROOT / "docs/reference/errors.md").read_text("utf-8")
    refusals = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.Refusal)]
    codes = {kind.code: kind.status for kind in refusals if kind.code != errors.Refusal.code}
    assert len(codes) > 10
    for code, status in codes.items():
        assert f"| `{code}` | {status} |" in page
