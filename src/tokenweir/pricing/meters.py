"""The meters: everything that can be on a bill, each with its unit and how many of them a price is of.

A price's setting, a charge line and a row of the price list go by the same name.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

__all__ = ["METERS", "BillingMeter", "meters_table"]

_MILLION: Final = 1_000_000
_THOUSAND: Final = 1_000
_GIGABYTE: Final = 2**30


class BillingMeter(NamedTuple):
    """One row of the table."""

    unit: str
    """Of quantities, in the plural."""
    per: int
    """A price is of so many units."""
    title: str
    """For a head of a column."""
    part: str
    """Which count of `Usage` it is of, whole or in part, or which of `QUANTITIES`; nothing where no call has it."""
    azure: tuple[str, ...] = ()
    """Words in the names of Azure's meters that are of it, for whoever reads a bill."""
    instead: str | None = None
    """The meter whose price is taken where a row has none."""
    of_model: bool = True
    """Whether its price is one of a model's; the others are the same for all, and may stand in a row of their own."""
    is_only_charged_if_priced: bool = False
    """Whether it may be counted beside what is billed, or for nothing: then there is no line where it has no price."""


_M = BillingMeter

METERS: Final[Mapping[str, BillingMeter]] = {
    "input": _M("tokens", _MILLION, "Input", "input_tokens", ("inp", "inpt", "input", "in")),
    "cached_input": _M(
        "tokens", _MILLION, "Cached input", "cached_input_tokens", ("cached inp", "cchd inp", "cd inp"), "input"
    ),
    "cache_write": _M("tokens", _MILLION, "Cache writes", "cache_write_tokens", ("cd wr",)),
    "cache_write_5m": _M("tokens", _MILLION, "Cache writes, 5 minutes", "cache_write_5m_tokens", instead="cache_write"),
    "cache_write_1h": _M("tokens", _MILLION, "Cache writes, 1 hour", "cache_write_1h_tokens"),
    "cache_write_media": _M("tokens", _MILLION, "Cache writes of audio and images", "cache_write_tokens"),
    "input_audio": _M("tokens", _MILLION, "Audio input", "input_audio_tokens", ("aud inp",)),
    "cached_audio": _M("tokens", _MILLION, "Cached audio", "cached_audio_tokens", ("aud cchd inp",)),
    "input_image": _M("tokens", _MILLION, "Image input", "input_image_tokens", ("img inp",)),
    "cached_image": _M("tokens", _MILLION, "Cached images", "cached_image_tokens", ("img cchd inp",)),
    "output": _M("tokens", _MILLION, "Output", "output_tokens", ("outp", "outpt", "output", "opt", "out")),
    "output_audio": _M("tokens", _MILLION, "Audio output", "output_audio_tokens", ("aud outp",)),
    "output_image": _M("tokens", _MILLION, "Image output", "output_image_tokens", ("img outp",), "output"),
    "router_fee": _M("tokens", _MILLION, "Router fee", "routed_tokens", ("model router",), of_model=False),
    "advisor_input": _M("tokens", _MILLION, "Advisor's input", "advisor_input_tokens"),
    "advisor_output": _M("tokens", _MILLION, "Advisor's output", "advisor_output_tokens"),
    "trained": _M("tokens", _MILLION, "Training", "trained_tokens", ("Training", "FT Trng")),
    "characters": _M("characters", _MILLION, "Characters", "input_characters", ("Text to Speech",)),
    "input_audio_second": _M("seconds", 1, "Audio heard", "input_audio_seconds", ("Whisper",)),
    "output_audio_second": _M("seconds", 1, "Audio spoken", "output_audio_seconds", is_only_charged_if_priced=True),
    "output_video_second": _M("seconds", 1, "Video made", "output_video_seconds", ("Sora",)),
    "session_second": _M("seconds", 1, "Sessions", "session_seconds"),
    "image": _M("images", 1, "Images", "images", ("Dall-E",), is_only_charged_if_priced=True),
    "page": _M("pages", _THOUSAND, "Pages", "pages", ("pages",)),
    "web_search": _M("searches", _THOUSAND, "Web searches", "web_searches", ("web search",), of_model=False),
    "web_fetch": _M("pages", _THOUSAND, "Web pages", "web_fetches", of_model=False, is_only_charged_if_priced=True),
    "file_search": _M(
        "searches", _THOUSAND, "File searches", "file_searches", ("file-search-tool-calls",), of_model=False
    ),
    "search_unit": _M("units", _THOUSAND, "Search units", "search_units", ("Rerank",)),
    "container_session": _M("sessions", 1, "Container sessions", "sessions", ("Code-Interpreter",), of_model=False),
    "gigabyte_day": _M("byte-days", _GIGABYTE, "Storage", "byte_days", ("Assistants-File Search",), of_model=False),
    "hosting_hour": _M("hours", 1, "Hosting", "hosted_hours", ("hosting", "Hstng")),
    "ptu_hour": _M("hours", 1, "Provisioned throughput", "", ("Provisioned Managed",)),
}
"""Every name, in the order in which statements show them."""


def meters_table() -> str:
    """The table in ``docs/reference/meters.md``."""
    rows = [
        f"| `{name}` | {one.title} | {one.per:,} {one.unit} | {f'`{one.part}`' if one.part else ''} "
        f"| {', '.join(f'`{words}`' for words in one.azure)} |"
        for name, one in METERS.items()
    ]
    head = "| meter | on a bill | a price is of | of | words in the names of Azure's meters |"
    return "\n".join([head, "|---|---|--:|---|---|", *rows])
