"""What models can do at most: no call uses more, whatever its request says."""

from typing import Final

__all__ = ["CAPACITIES", "Capacity", "capacity_of"]


class Capacity:
    """Tokens. ``context`` is what prompt and answer may have together, ``output`` the answer alone."""

    def __init__(self, context: int, output: int) -> None:
        self.context = context
        self.output = output


CAPACITIES: Final = {
    "gpt-35-turbo": Capacity(16_385, 4_096),
    "gpt-3.5-turbo": Capacity(16_385, 4_096),
    "gpt-4": Capacity(32_768, 8_192),
    "gpt-4-turbo": Capacity(128_000, 4_096),
    "gpt-4o": Capacity(128_000, 16_384),
    "gpt-4.1": Capacity(1_047_576, 32_768),
    "gpt-5": Capacity(400_000, 128_000),
    "o1": Capacity(200_000, 100_000),
    "o3": Capacity(200_000, 100_000),
    "o4-mini": Capacity(200_000, 100_000),
    "claude": Capacity(1_000_000, 128_000),
}
"""How the names of models begin → what they can do; the longest beginning counts. From Microsoft's and Anthropic's
tables of models, rounded up within a family."""

UNKNOWN: Final = Capacity(1_050_000, 128_000)
"""As much as any."""

_known: dict[str, Capacity] = {}
_MOST_KNOWN = 1_024


def capacity_of(model: str) -> Capacity:
    """By the name of a model, or of a deployment that is called like its model; of any other, `UNKNOWN`."""
    found = _known.get(model)
    if found is None:
        if len(_known) >= _MOST_KNOWN:  # names come from callers, so there is no end to them
            _known.clear()
        beginnings = [name for name in CAPACITIES if model.startswith(name)]
        found = _known[model] = CAPACITIES[max(beginnings, key=len)] if beginnings else UNKNOWN
    return found
