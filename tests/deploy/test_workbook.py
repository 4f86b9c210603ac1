"""The workbook for Azure Monitor is whole, shows ``queries/`` as they are, and draws columns that answers have."""

import json
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.kusto import faults_of
from support.varied_usage import varied_usage
from tokenweir.ledger import open_ledger

ROOT = Path(__file__).resolve().parents[2]
REPORTS = ROOT / "deploy/azure/reports"
WORKBOOK = json.loads((REPORTS / "workbook.json").read_text("utf-8"))
TEXT, QUERY, PARAMETERS, LINKS, GROUP = 1, 3, 9, 11, 12


def items(of: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for item in of:
        yield item
        if item["type"] == GROUP:
            yield from items(item["content"]["items"])


ITEMS = list(items(WORKBOOK["items"]))
QUERIES = [item["content"] for item in ITEMS if item["type"] == QUERY]
SETTERS = {
    parameter["name"] for item in ITEMS if item["type"] == PARAMETERS for parameter in item["content"]["parameters"]
}
TABS = {link["subTarget"] for item in ITEMS if item["type"] == LINKS for link in item["content"]["links"]}


def test_the_workbook_is_made_from_the_queries_as_they_are() -> None:
    made = runpy.run_path(str(REPORTS / "make_workbook.py"))["workbook"]()
    assert made == WORKBOOK, "run deploy/azure/reports/make_workbook.py"
    files = {file.read_text("utf-8") for file in (ROOT / "queries").glob("*.kql")}
    assert {query["query"] for query in QUERIES} <= files


def test_items_have_the_versions_that_their_kinds_have() -> None:
    assert WORKBOOK["version"] == "Notebook/1.0"
    versions = {
        QUERY: "KqlItem/1.0",
        PARAMETERS: "KqlParameterItem/1.0",
        LINKS: "LinkItem/1.0",
        GROUP: "NotebookGroup/1.0",
    }
    for item in ITEMS:
        assert item["content"].get("version") == versions.get(item["type"])
    names = [item["name"] for item in ITEMS]
    assert len(set(names)) == len(names)


def test_what_is_shown_depends_on_parameters_that_are_there() -> None:
    set_by_links = {link["cellValue"] for item in ITEMS if item["type"] == LINKS for link in item["content"]["links"]}
    shown_when = [item["conditionalVisibility"] for item in ITEMS if "conditionalVisibility" in item]
    assert {condition["parameterName"] for condition in shown_when} == set_by_links
    assert {condition["value"] for condition in shown_when} == TABS
    assert {query["timeContextFromParameter"] for query in QUERIES} == SETTERS == {"TimeRange"}
    # In a query, a name in braces would be replaced by a parameter's value.
    assert [found for query in QUERIES for found in re.findall(r"\{\w+(?::\w+)?\}", query["query"])] == []


def test_kusto_finds_nothing_wrong_with_its_queries() -> None:
    assert len(QUERIES) > 10
    assert faults_of([query["query"] for query in QUERIES]) == [[]] * len(QUERIES)


@pytest.fixture(scope="module")
def columns() -> dict[str, list[str]]:
    """Query → the columns of its answer."""
    ledger = open_ledger("duckdb::memory:")
    ledger.post(varied_usage(100), "relay-1", "1")
    found = {query["query"]: ledger.query_kql(query["query"]).columns for query in QUERIES}
    ledger.close()
    return found


def test_charts_draw_columns_that_the_answers_have(columns: dict[str, list[str]]) -> None:
    charts = [query for query in QUERIES if query["visualization"] != "table"]
    assert charts
    for query in charts:
        chart = query["chartSettings"]
        drawn = {chart["xAxis"], *chart["yAxis"], *([chart["group"]] if "group" in chart else [])}
        assert drawn <= set(columns[query["query"]]), query["title"]


def test_the_module_deploys_this_file_and_puts_the_component_in() -> None:
    module = (ROOT / "deploy/azure/modules/workbook.bicep").read_text("utf-8")
    [path] = re.findall(r"loadTextContent\('([^']+)'\)", module)
    assert (ROOT / "deploy/azure/modules" / path).resolve() == REPORTS / "workbook.json"
    [placeholder] = re.findall(r"replace\(content, '(\w+)', applicationInsightsId\)", module)
    assert WORKBOOK["fallbackResourceIds"] == [placeholder]
    assert json.dumps(WORKBOOK).count(placeholder) == 1


# --- the dashboard, of the same queries ---

DASHBOARD = json.loads((REPORTS / "dashboard.json").read_text("utf-8"))
TILES = [
    {one["name"]: one.get("value") for one in part["metadata"]["inputs"]}
    for lens in DASHBOARD["lenses"]
    for part in lens["parts"]
]


def test_the_dashboard_is_made_from_the_queries_as_they_are() -> None:
    made = runpy.run_path(str(REPORTS / "make_workbook.py"))["dashboard"]()
    assert made == DASHBOARD, "run deploy/azure/reports/make_workbook.py"
    assert {tile["Query"] for tile in TILES} <= {query["query"] for query in QUERIES}


def test_its_tiles_draw_columns_that_the_answers_have_side_by_side(columns: dict[str, list[str]]) -> None:
    for tile in TILES:
        drawn = tile.get("Dimensions") or {"xAxis": None, "yAxis": [], "splitBy": []}
        axes = [*drawn["yAxis"], *drawn["splitBy"], *([drawn["xAxis"]] if drawn["xAxis"] else [])]
        assert {axis["name"] for axis in axes} <= set(columns[tile["Query"]]), tile["PartTitle"]
    places = [tuple(part["position"][side] for side in "xy") for lens in DASHBOARD["lenses"] for part in lens["parts"]]
    assert len(set(places)) == len(places) == len(TILES)
    assert all(tile["Scope"] == {"resourceIds": ["APPLICATION_INSIGHTS_ID"]} for tile in TILES)
