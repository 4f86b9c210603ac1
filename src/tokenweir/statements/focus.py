"""A statement as rows of FOCUS 1.0, the FinOps Open Cost and Usage Specification (focus.finops.org).

Each priced line is a row. A row must have a cost, so lines without a price are in none: the caller says how many there
were. The package `focus-validator` 1.0.0 knows some columns by the names that they had before the specification was
done, so those are there, too. It takes the type of a column from how its cells look: amounts have a point, and texts
are none that could be numbers.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from ..ledger import NOTHING, TAG
from .statement import Statement, StatementGroup, StatementLine

__all__ = ["FOCUS_COLUMNS", "focus_rows", "left_out"]

_COMMITTED_SKUS: Final = ("ptu", "provisioned", "provisionedmanaged", "globalprovisionedmanaged")

_BEFORE_1_0: Final = {
    "ChargeType": "ChargeCategory",
    "InvoiceIssuer": "InvoiceIssuerName",
    "Provider": "ProviderName",
    "Publisher": "PublisherName",
    "ResourceID": "ResourceId",
}

FOCUS_COLUMNS: Final = (
    "AvailabilityZone",
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargeFrequency",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "CommitmentDiscountCategory",
    "CommitmentDiscountId",
    "CommitmentDiscountName",
    "CommitmentDiscountStatus",
    "CommitmentDiscountType",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedCost",
    "ContractedUnitPrice",
    "EffectiveCost",
    "InvoiceIssuerName",
    "ListCost",
    "ListUnitPrice",
    "PricingCategory",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "RegionId",
    "RegionName",
    "ResourceId",
    "ResourceName",
    "ResourceType",
    "ServiceCategory",
    "ServiceName",
    "SkuId",
    "SkuPriceId",
    "SubAccountId",
    "SubAccountName",
    "Tags",
    *_BEFORE_1_0,
    "x_ServiceTier",
    "x_EstimatedCost",
    "x_ExactCost",
)


def focus_rows(statement: Statement, billing_account: str | None) -> Iterator[list[Any]]:
    """The cells of each row, in the order of the columns."""
    for group in statement.groups:
        for line in group.lines:
            if line.amount is not None and line.exact is not None and group.currency is not None:
                row = _row(statement, group, line, billing_account or "tokenweir")
                row |= {old: row.get(name) for old, name in _BEFORE_1_0.items()}
                yield [row.get(name) for name in FOCUS_COLUMNS]


def left_out(statement: Statement) -> int:
    """How many lines have no price, and are in no row."""
    lines = (line for group in statement.groups for line in group.lines)
    return sum(line.amount is None and line.meter != NOTHING for line in lines)


def _row(statement: Statement, group: StatementGroup, line: StatementLine, account: str) -> dict[str, Any]:
    since, until = statement.periods[line.of_period]
    name = ", ".join(f"{name} {part or '(none)'}" for name, part in group.group.items()) or None
    per = Decimal(line.per or 1)
    has_price = line.rate is not None and line.price_currency == group.currency
    issuer = statement.organisation or "Tokenweir"
    region = "".join((line.region or "").lower().split()) or None
    kind = "" if line.kind == "charge" else f", {line.kind}"
    amount, exact = _decimal(line.amount), _decimal(line.exact)
    return {
        "BilledCost": amount,
        "BillingAccountId": account,
        "BillingAccountName": statement.organisation,
        "BillingCurrency": group.currency,
        "BillingPeriodStart": _moment(statement.since),
        "BillingPeriodEnd": _moment(statement.until),
        "ChargeCategory": "Usage",
        "ChargeClass": None if line.kind == "charge" else "Correction",
        "ChargeDescription": f"{line.model or 'model unknown'}, {line.meter}{kind}",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodStart": _moment(since),
        "ChargePeriodEnd": _moment(until),
        "ConsumedQuantity": _decimal(line.quantity),
        "ConsumedUnit": line.unit,
        "ContractedCost": exact,
        "ContractedUnitPrice": _decimal(line.rate) if has_price else None,
        "EffectiveCost": amount,
        "InvoiceIssuerName": issuer,
        "ListCost": exact,
        "PricingCategory": "Committed" if (line.sku or "").lower() in _COMMITTED_SKUS else "Standard",
        "PricingQuantity": _decimal(line.quantity / per),
        "PricingUnit": line.unit if per == 1 else f"{per:f} {line.unit}",
        "ProviderName": "Microsoft",
        "PublisherName": "Microsoft",
        "RegionId": region,
        "RegionName": line.region,
        "ResourceName": line.model,
        "ResourceType": "Model",
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": "Azure OpenAI",
        "SkuId": "/".join(part for part in (line.model, line.sku, line.meter) if part),
        "SkuPriceId": line.price_id,
        "SubAccountId": name,
        "SubAccountName": name,
        "Tags": _tags(group.group),
        "x_ServiceTier": line.tier,
        "x_EstimatedCost": _decimal(line.estimated),
        "x_ExactCost": exact,
    }


def _decimal(amount: Decimal | None) -> str:
    text = f"{amount or 0:f}"
    return text if "." in text else f"{text}.0"


def _tags(group: Mapping[str, str | None]) -> str:
    named = {name.removeprefix(TAG): value for name, value in group.items() if value is not None}
    return msgspec.json.encode(named).decode()


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
