"""What ``[[prices]]`` says: whose tokens cost how much, and from when on."""

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Self

import msgspec

from ..errors import quoted

__all__ = ["PLACES", "Moment", "Price", "PriceSettings"]

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
    sku: str | None = None
    """Only calls that were answered under this SKU, as the deployment's target names it."""
    deployment: str | None = None
    """Only calls to this deployment."""
    since: Moment | None = None
    """From when on, like ``2026-11-01`` or ``2026-11-01T06:00:00Z``, in UTC. Of those that have begun, the newest
    wins."""
    id: str | None = None
    """What the record calls this row (``price_id``); default: made of the model and what else narrows it down."""

    @property
    def name(self) -> str:
        if self.id is not None:
            return self.id
        narrowed = "/".join(
            part for part in (self.model, self.deployment, self.sku, self.service_tier) if part is not None
        )
        return narrowed if self.since is None else f"{narrowed}@{self.since:%Y-%m-%dT%H:%M:%SZ}"
