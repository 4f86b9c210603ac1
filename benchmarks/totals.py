"""The sums that two ledgers of the same calls have to agree about."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import msgspec

from tokenweir.ledger import Ledger

__all__ = ["Totals", "answered", "kept"]

Totals = Mapping[str, tuple[int, int, int]]
"""Of each deployment: calls, prompt tokens, completion tokens."""


class _Answered(msgspec.Struct):
    deployment: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    api: str = "other"


def answered(ledger: Path) -> Totals:
    """What the simulator says it used."""
    decode = msgspec.json.Decoder(_Answered).decode
    calls, prompts, answers = Counter[str](), Counter[str](), Counter[str]()
    with ledger.open("rb") as file:
        for call in map(decode, file):
            if call.api != "other":
                name = call.deployment or ""
                calls[name] += 1
                prompts[name] += call.prompt_tokens
                answers[name] += call.completion_tokens
    return {name: (calls[name], prompts[name], answers[name]) for name in calls}


def kept(ledger: Ledger) -> Totals:
    """What a ledger of ours says was used."""
    rows = ledger.usage(["deployment"])
    return {row["deployment"]: (row["calls"], row["input_tokens"], row["output_tokens"]) for row in rows}
