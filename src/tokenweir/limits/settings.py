"""What may be used, by whom and in what time: the tables ``limits = {…}``, ``[[limits]]`` and ``[admission]``."""

import re
from decimal import Decimal
from typing import Literal, Self

import msgspec

from ..errors import quoted

__all__ = ["AdmissionSettings", "Dimension", "LimitAmounts", "LimitSettings", "Money"]

Dimension = Literal["caller", "group", "deployment", "surface", "session"]
"""What a limit can be counted apart for."""

_MONEY = re.compile(r"(\d{1,9}(?:\.\d{1,9})?) ?([A-Z]{3})")


class Money:
    """An amount and its currency: ``500 EUR``. Immutable; ``str`` gives it as it is written."""

    __slots__ = ("amount", "currency")

    def __init__(self, amount: Decimal, currency: str) -> None:
        self.amount = amount
        self.currency = currency

    @classmethod
    def parse(cls, value: str | int | float) -> Self:
        """Raises ``ValueError``."""
        found = _MONEY.fullmatch(value.strip()) if isinstance(value, str) else None
        if found is None:
            raise ValueError(f'{quoted(value)} is no amount of money; write it like "500 EUR" or "12.50 USD"')
        return cls(Decimal(found[1]), found[2])

    def __str__(self) -> str:
        return f"{self.amount:f} {self.currency}"

    def __repr__(self) -> str:
        return f"<Money {self}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Money) and (self.amount, self.currency) == (other.amount, other.currency)

    def __hash__(self) -> int:
        return hash((self.amount, self.currency))


class LimitAmounts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A ``limits`` table. What is not set is not limited; what is 0 is not allowed at all."""

    requests_per_minute: int | None = None
    """Calls in any 60 seconds. Beyond: 429."""
    tokens_per_minute: int | None = None
    """Tokens of prompts and answers in any 60 seconds. Beyond: 429."""
    concurrent_calls: int | None = None
    """Calls under way. Beyond: 429."""
    requests_per_hour: int | None = None
    """Calls in an hour, as the calendar has it. Beyond: 403 until the next one, as with all that follow."""
    requests_per_day: int | None = None
    """Calls in a day."""
    requests_per_week: int | None = None
    """Calls in a week."""
    requests_per_month: int | None = None
    """Calls in a month."""
    tokens_per_hour: int | None = None
    """Tokens in an hour."""
    tokens_per_day: int | None = None
    """Tokens in a day."""
    tokens_per_week: int | None = None
    """Tokens in a week."""
    tokens_per_month: int | None = None
    """Tokens in a month."""
    cost_per_hour: Money | None = None
    """What calls of an hour may cost by the [price list](../guides/prices.md)."""
    cost_per_day: Money | None = None
    """What calls of a day may cost."""
    cost_per_week: Money | None = None
    """What calls of a week may cost."""
    cost_per_month: Money | None = None
    """What calls of a month may cost."""
    on_overrun: Literal["finish", "end"] = "finish"
    """What becomes of a stream that uses more than was reserved for it, where nothing is left of one of these: it
    comes to its end, or it is ended within a second or two, with an error event."""


class LimitSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One ``[[limits]]`` table: limits for whom several things decide."""

    name: str
    """What answers, metrics and reports call it."""
    limits: LimitAmounts
    """How much; as in ``[[callers]]``."""
    per: list[str] = []
    """What is counted apart: any of ``caller``, ``group``, ``deployment``, ``surface`` and ``session``. Default: all
    calls that it is for share one amount."""
    callers: list[str] = []
    """Only calls of these. Default: of all."""
    groups: list[str] = []
    """Only calls of callers in one of these groups."""
    deployments: list[str] = []
    """Only calls to these."""
    surfaces: list[str] = []
    """Only calls of these APIs, as records name them (``chat_completions``, ``embeddings``)."""


class AdmissionSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ``[admission]`` table: how limits are counted."""

    time_zone: str = "UTC"
    """Where hours, days, weeks and months begin, like ``Europe/Berlin``."""
    month_starts: int = 1
    """The day on which a month begins, from 1 to 28."""
    week_starts: Literal["monday", "sunday"] = "monday"
    """The day on which a week begins."""
    session_from: list[str] = []
    """What names the session or agent that a call is of, for limits per ``session``; the first of these that is there
    counts: a header, or a member of the body's ``metadata``. Calls that name none share one. Default:
    ``header:x-session-id``, then ``metadata:session_id``."""
    bytes_per_token: int = 2
    """So many bytes of a prompt are reserved as a token until the answer tells; 1 can never be too little."""
    holder: str | None = None
    """Who knows what is left of a limit that several relays give out of: ``redis://host`` (or ``rediss://``,
    ``unix://``; Valkey too) for gateways on several machines. Default: a process of this gateway."""
    on_outage: Literal["closed", "open"] = "closed"
    """What becomes of a call while the holder is away and this relay's slice is used up: 503, or each of ``relays``
    gives out its part of what was left when it last heard."""
    relays: int = 1
    """How many relays there are in all, for ``on_outage``."""
    output_tokens: int = 4096
    """So many tokens are reserved for an answer whose request does not say how long it may become."""
