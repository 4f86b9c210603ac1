"""Azure Monitor's metrics of an Azure OpenAI or Foundry resource, as ``az monitor metrics list`` prints them.

    az monitor metrics list --resource ID --interval P1D --start-time … --end-time … \\
      --metrics ProcessedPromptTokens GeneratedTokens AzureOpenAIRequests \\
      --dimension ModelDeploymentName ModelName --aggregation Total

Source: Microsoft's monitoring data reference of Microsoft.CognitiveServices/accounts; the names without
``Azure OpenAI`` are those of Foundry's models. Their days are UTC.
"""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from ..errors import ConfigError, quoted
from .amounts import MeterName, Told

__all__ = ["read_metrics"]

_METERS: Final[dict[str, MeterName | None]] = {
    "processedprompttokens": "prompt",
    "inputtokens": "prompt",
    "generatedtokens": "output",
    "outputtokens": "output",
    "azureopenairequests": "calls",
    "modelrequests": "calls",
    # the sum of others, or a part of them
    "tokentransaction": None,
    "totaltokens": None,
    "activetokens": None,
}


class _Name(msgspec.Struct):
    value: str


class _Dimension(msgspec.Struct):
    name: _Name
    value: str


class _Point(msgspec.Struct):
    timeStamp: datetime
    total: Decimal | None = None


class _Series(msgspec.Struct):
    data: list[_Point]
    metadatavalues: list[_Dimension] = []


class _Metric(msgspec.Struct):
    name: _Name
    timeseries: list[_Series] = []


class _Metrics(msgspec.Struct):
    value: list[_Metric]


def read_metrics(content: bytes) -> Iterator[Told]:
    """Raises ConfigError saying what the command should have been given."""
    try:
        metrics = msgspec.json.decode(content, type=_Metrics, strict=False).value
    except msgspec.DecodeError as error:
        raise ConfigError(f"this is not what `az monitor metrics list` prints ({error}); is it cut off?") from None
    known = 0
    for metric in metrics:
        meter = _METERS.get(metric.name.value.lower(), "other")
        if meter is None or meter == "other":
            continue
        known += 1
        for series in metric.timeseries:
            yield from _told(metric.name.value, meter, series)
    if not known:
        given = ", ".join(quoted(metric.name.value) for metric in metrics) or "none"
        raise ConfigError(
            f"there is no metric of tokens or requests in it ({given}); "
            "ask with --metrics ProcessedPromptTokens GeneratedTokens AzureOpenAIRequests"
        )


def _told(name: str, meter: MeterName, series: _Series) -> Iterator[Told]:
    dimensions: dict[str, Any] = {one.name.value.lower(): one.value for one in series.metadatavalues}
    if "modeldeploymentname" not in dimensions and series.data:
        raise ConfigError(f"{name} is not split by deployment; ask with --dimension ModelDeploymentName ModelName")
    for point in series.data:
        if point.total:
            yield Told(
                point.timeStamp.date(),
                meter,
                point.total,
                deployment=dimensions["modeldeploymentname"],
                model=dimensions.get("modelname"),
            )
