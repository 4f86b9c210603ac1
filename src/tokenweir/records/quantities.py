"""What a call used beside its tokens: amounts by the names of one table, each with its source.

A name that is no part of `Usage` by itself stands here, so a new unit needs neither a field nor a column. Amounts are
exact. What is not known is there without an amount, and never 0.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final, Literal, NamedTuple

import msgspec

__all__ = ["LARGEST_AMOUNT", "QUANTITIES", "Quantity", "QuantityName", "QuantitySource", "exact_amount", "plain_amount"]

QuantitySource = Literal["reported", "derived", "counted", "unknown"]
"""Where an amount comes from.

reported  the upstream said it
derived   it follows from something else that was sent or said: the length of a file, the tokens of a routed call
counted   things of the answer or the request were counted: images, searches, characters
unknown   something was used, and nobody said how much; there is no amount
"""

LARGEST_AMOUNT: Final = 2**53
"""JSON numbers beyond this are not exact (RFC 8259, 6), and no call uses as much of anything."""


class Quantity(msgspec.Struct, frozen=True, gc=False):
    """How much of one thing a call used."""

    amount: int | Decimal | None
    """Absent where `source` is `unknown`."""
    source: QuantitySource = "reported"
    """`reported`, `derived`, `counted` or `unknown`."""


class QuantityName(NamedTuple):
    """One row of the table."""

    unit: str
    """Of its amounts, in the plural."""
    title: str
    """For a head of a column."""
    meaning: str
    """What is counted, as Markdown."""


QUANTITIES: Final[Mapping[str, QuantityName]] = {
    "cache_write_5m_tokens": QuantityName(
        "tokens", "Cache writes, 5 minutes", "The part of `cache_write_tokens` that Claude keeps for five minutes."
    ),
    "cache_write_1h_tokens": QuantityName(
        "tokens", "Cache writes, 1 hour", "The part of `cache_write_tokens` that Claude keeps for an hour."
    ),
    "routed_tokens": QuantityName(
        "tokens", "Routed tokens", "Input that a model router passed on, which costs a fee beside the model's price."
    ),
    "abandoned_requests": QuantityName(
        "requests",
        "Requests given up",
        "Requests that were given up as their answers did not begin (`answer_within`), and made again elsewhere. What "
        "they used is not known.",
    ),
    "advisor_input_tokens": QuantityName(
        "tokens", "Advisor's input", "Input of another model that Claude asked for advice, by that model's price."
    ),
    "advisor_output_tokens": QuantityName("tokens", "Advisor's output", "What that model has answered."),
    "trained_tokens": QuantityName("tokens", "Trained tokens", "What a fine-tuning job was trained on."),
    "input_characters": QuantityName("characters", "Characters", "Text that was spoken."),
    "input_audio_seconds": QuantityName("seconds", "Audio heard", "Audio that was transcribed or translated."),
    "output_audio_seconds": QuantityName("seconds", "Audio spoken", "Audio that was made."),
    "output_video_seconds": QuantityName("seconds", "Video made", "Video that was made."),
    "session_seconds": QuantityName("seconds", "Sessions", "How long a session that is billed by time was open."),
    "images": QuantityName("images", "Images", "Images that were made."),
    "pages": QuantityName("pages", "Pages", "Pages of documents that were read."),
    "web_searches": QuantityName("searches", "Web searches", "Searches of the Web by the upstream's own tool."),
    "web_fetches": QuantityName("pages", "Web pages", "Web pages that the upstream's own tool fetched."),
    "file_searches": QuantityName("searches", "File searches", "Searches of vector stores by the upstream's own tool."),
    "search_units": QuantityName("units", "Search units", "What reranking is billed by."),
    "sessions": QuantityName("sessions", "Container sessions", "Containers of the code interpreter that were used."),
    "unmetered_bytes": QuantityName(
        "bytes", "Unmetered bytes", "Bodies, sent and answered, of a call of which nobody here knows what it used."
    ),
    "hosted_hours": QuantityName(
        "hours", "Hosting", "Hours for which a fine-tuned model was deployed, as the configuration says."
    ),
    "byte_days": QuantityName("byte-days", "Storage", "Bytes that were kept, times the days they were kept for."),
}
"""Every name, in the order in which reports show them."""


def exact_amount(told: object) -> int | Decimal | None:
    """A JSON number as an amount, digit for digit; ``None`` where it is none, negative, or beyond all measure."""
    if type(told) is int:
        return told if 0 <= told < LARGEST_AMOUNT else None
    if type(told) is float and 0 <= told < LARGEST_AMOUNT:
        return plain_amount(Decimal(repr(told)))
    return None


def plain_amount(amount: Decimal) -> int | Decimal:
    """The same amount as a whole number where it is one, and without zeros behind its last digit."""
    return int(amount) if amount == int(amount) else amount.normalize()
