"""What ``[[prices]]`` says: whose tokens cost how much, and from when on."""

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Literal, Self

import msgspec

from ..errors import quoted
from .deployment_types import DeploymentType

__all__ = [
    "PLACES",
    "AdjustmentSettings",
    "ExchangeRate",
    "ExchangeRateSettings",
    "Moment",
    "Percent",
    "Price",
    "PriceSettings",
    "PricingSettings",
    "ReservationSettings",
]

PLACES = 6
"""Decimals that a price may have: a token then costs a whole number of 1e-12, which is what ledgers keep of money."""

_PRICE = re.compile(r"\d{1,12}(\.\d+)?")


class Price(Decimal):
    """Of a million tokens, or of a second. A text, or a number of the file as it is written there."""

    @classmethod
    def parse(cls, value: str | int | float) -> Self:
        text = value.strip() if isinstance(value, str) else f"{Decimal(repr(value)):f}"
        places = len(text.partition(".")[2].rstrip("0"))
        if not _PRICE.fullmatch(text) or places > PLACES:
            raise ValueError(f'{quoted(value)} is not a price; write it like "2.50", with at most {PLACES} decimals')
        return cls(text)


class ExchangeRate(Decimal):
    """What one unit of a currency is worth in another. A text, or a number of the file as it is written there."""

    @classmethod
    def parse(cls, value: str | int | float) -> Self:
        text = value.strip() if isinstance(value, str) else f"{Decimal(repr(value)):f}"
        if not _PRICE.fullmatch(text) or not Decimal(text) or len(text.partition(".")[2].rstrip("0")) > PLACES:
            raise ValueError(
                f'{quoted(value)} is no exchange rate; write it like "0.92", with at most {PLACES} decimals'
            )
        return cls(text)


class Percent(Decimal):
    """Of a price; a text or a number, from 0 on, with at most four decimals."""

    @classmethod
    def parse(cls, value: str | int | float) -> Self:
        text = value.strip().removesuffix("%").strip() if isinstance(value, str) else f"{Decimal(repr(value)):f}"
        if not _PRICE.fullmatch(text) or len(text.partition(".")[2].rstrip("0")) > 4:
            raise ValueError(f'{quoted(value)} is no percentage from 0 on; write it like "7.5"')
        return cls(text)


class Moment(datetime):
    """Aware, in UTC. A date means its first moment; a time without a zone is in UTC."""

    @classmethod
    def parse(cls, value: str | date | int | float) -> Self:
        moment = cls.fromisoformat(value.isoformat() if isinstance(value, date) else str(value).strip())
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


class PriceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One ``[[prices]]`` table: a row of the price list."""

    model: str
    """Whose tokens: a model, or how several begin, like ``gpt-4o-2024*``. The longest that fits wins. Compared with the
    model that answered, then the one that was asked for, then the deployment."""
    currency: str
    """``EUR``, ``USD``…"""
    input: Price | None = None
    """A million tokens of prompt cost this."""
    output: Price | None = None
    """A million tokens of completion cost this, those of reasoning included."""
    cached_input: Price | None = None
    """Tokens of the prompt that came from the cache; default: as ``input``."""
    cache_write: Price | None = None
    """Tokens of the prompt that were written to the cache; without it they are unpriced."""
    cache_write_5m: Price | None = None
    """Those that are kept for five minutes; default: as ``cache_write``."""
    cache_write_1h: Price | None = None
    """Those that are kept for an hour; without it they are unpriced."""
    cache_write_media: Price | None = None
    """Tokens of audio and images that were written to the cache; without it they are unpriced."""
    input_audio: Price | None = None
    """Tokens of audio in the prompt; without it they are unpriced."""
    cached_audio: Price | None = None
    """Tokens of audio that came from the cache; without it they are unpriced."""
    input_audio_second: Price | None = None
    """A second of audio, of models that are billed by them; without it they are unpriced."""
    output_audio: Price | None = None
    """Tokens of audio in the completion; without it they are unpriced."""
    input_image: Price | None = None
    """Tokens of images in the prompt; default: they are charged as text."""
    cached_image: Price | None = None
    """Tokens of images that came from the cache; needed where ``input_image`` is given."""
    output_image: Price | None = None
    """Tokens of images in the answer; default: as ``output``."""
    router_fee: Price | None = None
    """A million tokens of prompt that a model router passed on cost this beside the model's price."""
    advisor_input: Price | None = None
    """A million tokens of input of the model that Claude asks for advice."""
    advisor_output: Price | None = None
    """A million tokens that it answers."""
    trained: Price | None = None
    """A million tokens that a fine-tuning job was trained on."""
    characters: Price | None = None
    """A million characters that were spoken."""
    output_audio_second: Price | None = None
    """A second of audio that was made."""
    output_video_second: Price | None = None
    """A second of video that was made."""
    session_second: Price | None = None
    """A second of a session that is billed by time."""
    image: Price | None = None
    """An image that was made, of models that are billed by the piece."""
    page: Price | None = None
    """A thousand pages of documents that were read."""
    web_search: Price | None = None
    """A thousand searches of the Web by the upstream's own tool."""
    web_fetch: Price | None = None
    """A thousand Web pages that the upstream's own tool fetched; without it they are free."""
    file_search: Price | None = None
    """A thousand searches of vector stores by the upstream's own tool."""
    search_unit: Price | None = None
    """A thousand units that reranking is billed by."""
    container_session: Price | None = None
    """A container of the code interpreter."""
    gigabyte_day: Price | None = None
    """A gigabyte (2^30 bytes) that was kept for a day."""
    hosting_hour: Price | None = None
    """An hour for which a fine-tuned model is hosted."""
    ptu_hour: Price | None = None
    """An hour of a unit of provisioned throughput."""
    service_tier: str | None = None
    """Only calls that were served by this tier, like ``priority``, ``flex`` or ``batch``; default: the standard one,
    which is called ``default`` in answers."""
    deployment_type: DeploymentType | None = None
    """Only calls that such a deployment served, as the target's ``sku`` tells: ``global``, ``data_zone``, ``regional``
    or ``ptu``."""
    region: str | None = None
    """Only calls that this region answered, like ``swedencentral``; several are separated by spaces."""
    input_above: int = 0
    """Only calls with more tokens of prompt than this, for models that charge more for long ones."""
    sku: str | None = None
    """Only calls that were answered under this SKU, as the deployment's target names it."""
    deployment: str | None = None
    """Only calls to this deployment."""
    since: Moment | None = None
    """From when on, like ``2026-11-01`` or ``2026-11-01T06:00:00Z``, in UTC. Of those that have begun, the newest
    wins."""
    until: Moment | None = None
    """Until when, like ``since``; not included."""
    id: str | None = None
    """What the record calls this row (``price_id``); default: made of the model and what else narrows it down."""

    @property
    def name(self) -> str:
        if self.id is not None:
            return self.id
        narrowed = "/".join(
            part
            for part in (
                self.model,
                self.deployment,
                self.sku,
                self.deployment_type,
                self.region,
                self.service_tier,
                f">{self.input_above}" if self.input_above else None,
            )
            if part is not None
        )
        return narrowed if self.since is None else f"{narrowed}@{self.since:%Y-%m-%dT%H:%M:%SZ}"


class ExchangeRateSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One ``[[exchange_rates]]`` table: what a currency is worth in ``pricing.currency``, fixed for a time."""

    currency: str
    """``USD``, for example."""
    rate: ExchangeRate
    """How much of ``pricing.currency`` one of it is."""
    since: Moment | None = None
    """From when on; of those that have begun, the newest holds."""


class AdjustmentSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One ``[[adjustments]]`` table: a discount or a mark-up. All that fit a call are applied, one after the other."""

    discount: Percent = Percent(0)
    """Percent that are taken off, up to 100."""
    markup: Percent = Percent(0)
    """Percent that are added."""
    of: Literal["all", "list", "prices"] = "all"
    """Which prices: those of ``pricing.list``, those of ``[[prices]]``, or all."""
    model: str | None = None
    """Only calls of this model; a beginning with ``*`` fits several."""
    caller: str | None = None
    """Only this caller's calls."""
    tags: dict[str, str] = {}
    """Only calls with all of these tags, like ``{ cost_centre = "4711" }``."""
    since: Moment | None = None
    """From when on."""
    until: Moment | None = None
    """Until when; not included."""


class ReservationSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One ``[[reservations]]`` table: provisioned throughput, which is paid by the hour, used or not."""

    deployment: str
    """Whose: the name that callers use. Its targets of provisioned throughput share it."""
    units: int
    """How many units (PTU) it has, of all these targets together."""
    hourly: Price
    """What an hour of one unit costs."""
    currency: str
    """Of that price."""
    model: str | None = None
    """What it runs, where answers do not name it as Azure does."""
    since: Moment | None = None
    """From when on."""
    until: Moment | None = None
    """Until when; not included."""

    @property
    def name(self) -> str:
        """What its lines call it."""
        return f"ptu:{self.deployment}" + (f"@{self.since:%Y-%m-%d}" if self.since is not None else "")


_Texts = list[str]


class PricingSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ``[pricing]`` table: what stands below ``[[prices]]``, and what is charged in."""

    list: Literal["azure"] | None = None
    """``azure``: what no row of ``[[prices]]`` has is charged as Azure lists it, in USD. It is nobody's contract."""
    files: _Texts = []
    """Further files with ``[[prices]]``, like one for each contract; what they say is added to those here."""
    deployment_type: DeploymentType | None = None
    """What a target is taken to be whose ``sku`` does not tell; without it, list prices do not fit its calls."""
    currency: str | None = None
    """Amounts of other currencies are converted to this one, by ``[[exchange_rates]]``; default: each row's own."""
