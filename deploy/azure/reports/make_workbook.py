"""Makes ``workbook.json`` and ``dashboard.json`` out of the files in ``queries/``: run it after one of them changed.

The workbook's format is that of Azure Monitor ("gallery template"): numbered kinds of items, of which five are used.
The dashboard's is that of the portal, as it exports tiles that were pinned from *Logs*.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple
from uuid import NAMESPACE_URL, uuid5

HERE = Path(__file__).resolve().parent
QUERIES = HERE.parents[2] / "queries"

TEXT, QUERY, PARAMETERS, LINKS, GROUP = 1, 3, 9, 11, 12
TIME_RANGE = 4
"""A kind of parameter."""

DAY_MS = 24 * 60 * 60 * 1000
NOTHING = (
    "No calls in this time range. They come as customEvents named 'Azure OpenAI Tokens' and 'Azure OpenAI Calls', "
    "up to some minutes after the call."
)


class Shown(NamedTuple):
    """A query and how it is drawn; ``x``, ``y`` and ``group`` are columns of its answer."""

    name: str
    title: str
    drawn: str = "table"
    x: str = ""
    y: tuple[str, ...] = ()
    group: str = ""


TABS = {
    "Usage": [
        Shown("cost-by-day", "Tokens by day", "barchart", "day", ("input_tokens", "output_tokens")),
        Shown("top-callers", "The ten callers that used most"),
        Shown("cost-by-model", "By model and deployment"),
        Shown("estimated-share", "How much is estimated"),
        Shown("cached-share", "Input that came from the cache", "barchart", "model", ("cached_share",)),
        Shown("unusual-days", "Days on which a caller used far more than before"),
    ],
    "Cost": [
        Shown("cost-by-day", "Cost by day", "barchart", "day", ("cost",), "currency"),
        Shown("cost-by-team", "By team"),
        Shown("cost-by-cost-centre", "By cost centre"),
    ],
    "Latency": [
        Shown(
            "latency-by-hour", "Milliseconds by hour", "linechart", "hour", ("p50_ms", "p95_ms", "first_token_p50_ms")
        ),
        Shown("latency-by-region", "Milliseconds by region"),
    ],
    "Health": [
        Shown(
            "calls-by-hour",
            "Calls by hour, by how they ended",
            "barchart",
            "hour",
            ("completed", "throttled", "client_gone", "failed"),
        ),
        Shown("throttling", "Answers with 429"),
        Shown("failed-calls", "Calls that did not end well"),
    ],
}


def workbook() -> dict[str, Any]:
    """The workbook with a tab for each of `TABS` and one time range for all of them."""
    return {
        "version": "Notebook/1.0",
        "items": [_introduction(), _time_range(), _tabs(), *(_tab(name, shown) for name, shown in TABS.items())],
        "fallbackResourceIds": ["APPLICATION_INSIGHTS_ID"],  # the Bicep module puts it in
        "$schema": "https://github.com/Microsoft/Application-Insights-Workbooks/blob/master/schema/workbook.json",
    }


def _introduction() -> dict[str, Any]:
    text = "## Azure OpenAI: who used what\n\nEach call is counted once. Days and hours are UTC."
    return {"type": TEXT, "content": {"json": text}, "name": "introduction"}


def _time_range() -> dict[str, Any]:
    parameter = {
        "id": _id("TimeRange"),
        "version": "KqlParameterItem/1.0",
        "name": "TimeRange",
        "label": "Time range",
        "type": TIME_RANGE,
        "isRequired": True,
        "value": {"durationMs": 30 * DAY_MS},
        "typeSettings": {
            "selectableValues": [{"durationMs": days * DAY_MS} for days in (1, 2, 7, 14, 30, 90)],
            "allowCustom": True,
        },
    }
    content = {
        "version": "KqlParameterItem/1.0",
        "parameters": [parameter],
        "style": "pills",
        "queryType": 0,
        "resourceType": "microsoft.insights/components",
    }
    return {"type": PARAMETERS, "content": content, "name": "parameters"}


def _tabs() -> dict[str, Any]:
    links = [
        {
            "id": _id(f"tab {name}"),
            "cellValue": "Tab",
            "linkTarget": "parameter",
            "linkLabel": name,
            "subTarget": name,
            "style": "link",
        }
        for name in TABS
    ]
    return {"type": LINKS, "content": {"version": "LinkItem/1.0", "style": "tabs", "links": links}, "name": "tabs"}


def _tab(name: str, shown: list[Shown]) -> dict[str, Any]:
    return {
        "type": GROUP,
        "content": {
            "version": "NotebookGroup/1.0",
            "groupType": "editable",
            "items": [_query(name, one) for one in shown],
        },
        "conditionalVisibility": {"parameterName": "Tab", "comparison": "isEqualTo", "value": name},
        "name": name,
    }


def _query(tab: str, shown: Shown) -> dict[str, Any]:
    content: dict[str, Any] = {
        "version": "KqlItem/1.0",
        "query": (QUERIES / f"{shown.name}.kql").read_text("utf-8"),
        "size": 0,
        "title": shown.title,
        "noDataMessage": NOTHING,
        "timeContextFromParameter": "TimeRange",
        "showExportToExcel": True,
        "queryType": 0,
        "resourceType": "microsoft.insights/components",
        "visualization": shown.drawn,
    }
    if shown.x:
        chart = {"xAxis": shown.x, "yAxis": list(shown.y), "showLegend": True}
        content["chartSettings"] = chart | ({"group": shown.group} if shown.group else {})
    return {"type": QUERY, "content": content, "name": f"{tab}, {shown.name}"}


def _id(name: str) -> str:
    """The same each time, so that a new workbook differs from the last one only where it should."""
    return str(uuid5(NAMESPACE_URL, f"tokenweir/workbook/{name}"))


TILES = [
    TABS["Cost"][0],
    TABS["Usage"][1],
    TABS["Cost"][1],
    TABS["Usage"][0],
    TABS["Latency"][0],
    TABS["Health"][0],
    TABS["Health"][1],
    TABS["Usage"][3],
]
_TILE = "Extension/Microsoft_OperationsManagementSuite_Workspace/PartType/LogsDashboardPart"
_WIDTH, _HEIGHT, _COLUMNS = 6, 4, 2
_CHARTS = {"barchart": "StackedColumn", "linechart": "Line"}
_TYPES = {"day": "datetime", "hour": "datetime", "currency": "string", "cost": "real"}


def dashboard() -> dict[str, Any]:
    """The properties of the dashboard, a tile for each of `TILES`, over the last month."""
    parts = [
        {
            "position": {
                "x": index % _COLUMNS * _WIDTH,
                "y": index // _COLUMNS * _HEIGHT,
                "colSpan": _WIDTH,
                "rowSpan": _HEIGHT,
            },
            "metadata": {"type": _TILE, "inputs": _inputs(shown), "settings": {}},
        }
        for index, shown in enumerate(TILES)
    ]
    return {"lenses": [{"order": 0, "parts": parts}], "metadata": {"model": {}}}


def _inputs(shown: Shown) -> list[dict[str, Any]]:
    values: dict[str, Any] = {
        "Scope": {"resourceIds": ["APPLICATION_INSIGHTS_ID"]},
        "PartId": _id(f"tile {shown.title}"),
        "Version": "2.0",
        "TimeRange": "P30D",
        "Query": (QUERIES / f"{shown.name}.kql").read_text("utf-8"),
        "ControlType": "AnalyticsGrid" if shown.drawn == "table" else "FrameControlChart",
        "PartTitle": shown.title,
        "PartSubTitle": "Azure OpenAI",
        "IsQueryContainTimeRange": False,
    }
    if shown.x:
        values |= {
            "SpecificChart": _CHARTS[shown.drawn],
            "Dimensions": {
                "xAxis": _axis(shown.x),
                "yAxis": [_axis(name) for name in shown.y],
                "splitBy": [_axis(shown.group)] if shown.group else [],
                "aggregation": "Sum",
            },
            "LegendOptions": {"isEnabled": True, "position": "Bottom"},
        }
    known = [{"name": name, "isOptional": True} for name in ("resourceTypeMode", "ComponentId", "DashboardId")]
    return known + [{"name": name, "value": value, "isOptional": True} for name, value in values.items()]


def _axis(name: str) -> dict[str, str]:
    return {"name": name, "type": _TYPES.get(name, "long")}


if __name__ == "__main__":
    (HERE / "dashboard.json").write_text(json.dumps(dashboard(), indent=2) + "\n", "utf-8")
    (HERE / "workbook.json").write_text(json.dumps(workbook(), indent=2) + "\n", "utf-8")
