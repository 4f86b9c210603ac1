"""What Azure's files say, and those that are cut off or are something else."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from tokenweir.errors import ConfigError
from tokenweir.pricing import azure_list
from tokenweir.reconciling import FileKind, Told, read_file
from tokenweir.reconciling.cost_export import meter_of

DAY = date(2026, 10, 31)

EA = """\
Section,SubscriptionId,Date,MeterCategory,MeterSubCategory,MeterId,MeterName,UnitOfMeasure,Quantity,\
EffectivePrice,CostInBillingCurrency,ResourceId,ChargeType,BillingCurrencyCode
P,1,10/31/2026,Foundry Models,OpenAI,a,gpt 4o 0806 Inp glbl Tokens,1K,12.5,0.0025,0.03125,/x,Usage,EUR
P,1,10/31/2026,Foundry Models,OpenAI,b,gpt 4o 0806 cached Inp glbl Tokens,1K,2,0.00125,0.0025,/x,Usage,EUR
P,1,10/31/2026,Foundry Models,OpenAI,c,gpt 4.1 mini Outp DZone,1M,0.000007,1.6,0.0000112,/x,Usage,EUR
P,1,10/31/2026,Storage,Blob,d,LRS Data Stored,1 GB/Month,1,0.1,0.1,/y,Usage,EUR
P,1,10/31/2026,Foundry Models,OpenAI,e,Provisioned Managed Global Unit,1 Hour,24,1,24,/x,UnusedReservation,EUR
"""

METRICS = """\
{"cost": 0, "interval": "P1D", "value": [
  {"name": {"value": "ProcessedPromptTokens", "localizedValue": "Processed Prompt Tokens"}, "unit": "Count",
   "timeseries": [{"metadatavalues": [{"name": {"value": "modeldeploymentname"}, "value": "chat"},
                                      {"name": {"value": "modelname"}, "value": "gpt-4o"}],
                   "data": [{"timeStamp": "2026-10-31T00:00:00Z", "total": 14500.0},
                            {"timeStamp": "2026-11-01T00:00:00Z"}]}]},
  {"name": {"value": "TokenTransaction"}, "timeseries": [{"data": [{"timeStamp": "2026-10-31T00:00:00Z", "total": 1}]}]}
]}
"""

LOG = """\
{"TimeGenerated": "2026-10-31T23:59:59.9Z", "CorrelationId": "a", "SequenceNumber": 0, "ModelName": "gpt-4o", \
"DeploymentName": "chat", "PromptTokens": 9, "CompletionTokens": 3, "TotalTokens": 12}
{"TimeGenerated": "2026-10-31T23:59:59.9Z", "CorrelationId": "a", "SequenceNumber": 1, "ResponseMessages": "[…"}
{"TimeGenerated": "2026-10-31T23:59:59.9Z", "CorrelationId": "a", "SequenceNumber": 0, "PromptTokens": 9}

{"time": "2026-10-31T01:00:00Z", "category": "GatewayLlmLogs", "properties": \
{"correlationId": "b", "modelName": "gpt-4o", "promptTokens": 1, "completionTokens": 0}}
"""


def told(tmp_path: Path, content: str | bytes, kind: FileKind | None = None) -> list[Told]:
    file = tmp_path / "file"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_file(file, kind)[1]


def test_a_cost_export_gives_the_tokens_and_the_cost_of_models_and_of_nothing_else(tmp_path: Path) -> None:
    found = told(tmp_path, EA)

    tokens = [(one.meter, one.model, one.amount) for one in found if one.meter != "cost"]
    assert tokens == [
        ("input", "gpt 4o 0806", Decimal(12500)),
        ("cached_input", "gpt-4o-2024-08-06", Decimal(2000)),  # as the price list has this name
        ("output", "gpt 4.1 mini", Decimal(7)),
    ]
    costs = [(one.amount, one.currency, one.note) for one in found if one.meter == "cost"]
    assert costs[-1] == (Decimal(24), "EUR", "UnusedReservation: Provisioned Managed Global Unit")
    assert len(costs) == 4


def test_files_of_other_agreements_have_other_names_for_the_same(tmp_path: Path) -> None:
    mca = "\ufeffdate,meterCategory,meterName,unitOfMeasure,quantity,costInBillingCurrency,billingCurrency\r\n"
    mca += "2026-10-31,Cognitive Services,gpt-5 Inp Glbl,1M,0.5,0.625,USD\r\n"
    classic = "UsageDateTime,MeterCategory,MeterName,UsageQuantity,PreTaxCost,Currency\n"
    classic += "2026-10-31T00:00:00,Azure OpenAI,gpt-5 Inp Glbl,0.5,0.625,USD\n"

    assert [one[:3] for one in told(tmp_path, mca)] == [
        (DAY, "cost", Decimal("0.625")),
        (DAY, "input", Decimal(500_000)),
    ]
    assert told(tmp_path, classic)[0].currency == "USD"


@pytest.mark.parametrize(
    ("name", "meter"),
    [
        ("gpt 4o 0806 Inp glbl Tokens", ("input", "gpt 4o 0806")),
        ("gpt-4o-mini-0718-Outp-regnl Tokens", ("output", "gpt 4o mini 0718")),
        ("gpt 4.1 nano cached Inp Glbl 1M Tokens", ("cached_input", "gpt 4.1 nano")),
        ("Az-o3 0416 Batch Inp DZone Tokens", ("input", "o3 0416")),
        ("gpt-5 pp cchd Inp Glbl", ("cached_input", "gpt 5")),
        ("gpt4o RT aud Inp Glbl", ("other", "gpt4o rt")),
        ("Provisioned Managed Global Unit", ("other", "provisioned managed")),
    ],
)
def test_the_name_of_a_meter_says_the_model_and_the_part(name: str, meter: tuple[str, str]) -> None:
    assert meter_of(name) == meter


def test_every_name_that_azure_lists_for_a_token_of_a_model_is_known(tmp_path: Path) -> None:
    listed = [
        (name, meter, row.row.model)
        for row in azure_list()
        for meter, name in row.meters.items()
        if row.source == "azure" and meter in ("input", "cached_input", "output")
    ]
    head = "Date,MeterCategory,MeterName,UnitOfMeasure,Quantity,CostInBillingCurrency,BillingCurrencyCode\n"
    lines = "".join(f"10/31/2026,Foundry Models,{name},1K,1,1,EUR\n" for name, _, _ in listed)

    found = [(one.meter, one.model) for one in told(tmp_path, head + lines) if one.meter != "cost"]
    assert len(listed) > 700
    assert found == [(meter, model) for _, meter, model in listed]


def test_metrics_are_read_by_deployment_and_day(tmp_path: Path) -> None:
    assert told(tmp_path, METRICS) == [Told(DAY, "prompt", Decimal(14500), deployment="chat", model="gpt-4o")]


def test_a_call_of_the_llm_log_counts_once_however_many_entries_it_has(tmp_path: Path) -> None:
    found = [(one.meter, one.amount, one.deployment) for one in told(tmp_path, LOG)]

    assert found == [
        ("calls", Decimal(1), "chat"),
        ("prompt", Decimal(9), "chat"),
        ("output", Decimal(3), "chat"),
        ("calls", Decimal(1), None),
        ("prompt", Decimal(1), None),
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty"),
        (EA[:-40], "cut off"),
        (EA + "P,1,10/31/2026\n", "line 7 has 3 columns"),
        (EA.replace("12.5,0.0025", "zwölf,0.0025"), "line 2: 'zwölf' is no quantity"),
        (EA.replace("12.5,0.0025", "NaN,0.0025"), "line 2: 'NaN' is no quantity"),
        (EA.replace("10/31/2026,Storage", "10/31/2026,Azure OpenAI").replace("10/31/2026", "31.10.2026"), "is no date"),
        ("a,b\n1,2\n", "no column date or metername"),
        (METRICS[:-20], "cut off"),
        (METRICS.replace("modeldeploymentname", "region"), "--dimension ModelDeploymentName"),
        (METRICS.replace("ProcessedPromptTokens", "Latency"), "no metric of tokens"),
        (LOG.replace('{"time"', '{"time'), "line 5 is no JSON"),
        (LOG.replace("2026-10-31T23:59:59.9Z", "yesterday"), "entry 1 has no TimeGenerated"),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_to_do(tmp_path: Path, content: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words.replace("(", r"\(")):
        told(tmp_path, content)
