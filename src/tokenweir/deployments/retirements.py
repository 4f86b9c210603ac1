"""When Azure retires the models that a deployment can run: afterwards its calls fail.

Source: Microsoft's model retirement schedule of 26 August 2026 (MicrosoftDocs/azure-ai-docs). What is not listed is not
known; the schedule also moves, mostly to later.
"""

from datetime import date
from typing import Final

__all__ = ["RETIREMENTS", "retirement_of"]

RETIREMENTS: Final = {
    "codex-mini-2025-05-16": date(2026, 11, 15),
    "gpt-4.1-2025-04-14": date(2026, 10, 14),
    "gpt-4.1-mini-2025-04-14": date(2026, 10, 14),
    "gpt-4.1-nano-2025-04-14": date(2026, 10, 14),
    "gpt-4o-2024-05-13": date(2026, 10, 1),
    "gpt-4o-2024-08-06": date(2026, 10, 1),
    "gpt-4o-2024-11-20": date(2026, 10, 1),
    "gpt-4o-mini-2024-07-18": date(2026, 10, 1),
    "gpt-4o-mini-transcribe-2025-03-20": date(2026, 10, 15),
    "gpt-4o-mini-transcribe-2025-12-15": date(2026, 12, 15),
    "gpt-4o-transcribe-2025-03-20": date(2026, 10, 15),
    "gpt-5-2025-08-07": date(2027, 2, 6),
    "gpt-5-chat-2025-08-07": date(2026, 6, 29),
    "gpt-5-chat-2025-10-03": date(2026, 5, 13),
    "gpt-5-codex-2025-09-15": date(2027, 3, 17),
    "gpt-5-mini-2025-08-07": date(2027, 2, 6),
    "gpt-5-nano-2025-08-07": date(2027, 2, 6),
    "gpt-5-pro-2025-10-06": date(2027, 4, 7),
    "gpt-5.1-2025-11-13": date(2027, 5, 15),
    "gpt-5.1-codex-2025-11-13": date(2027, 5, 15),
    "gpt-5.1-codex-max-2025-12-04": date(2026, 12, 5),
    "gpt-5.1-codex-mini-2025-11-13": date(2027, 5, 15),
    "gpt-5.2-2025-12-11": date(2026, 12, 12),
    "gpt-5.2-codex-2026-01-14": date(2027, 1, 14),
    "gpt-5.3-codex-2026-02-24": date(2027, 2, 25),
    "gpt-5.4-2026-03-05": date(2027, 3, 5),
    "gpt-5.4-mini-2026-03-17": date(2027, 3, 18),
    "gpt-5.4-nano-2026-03-17": date(2027, 3, 18),
    "gpt-5.4-pro-2026-03-05": date(2027, 3, 6),
    "gpt-5.5-2026-04-24": date(2027, 4, 23),
    "gpt-chat-latest-2026-05-05": date(2026, 11, 5),
    "model-router-2025-11-18": date(2027, 5, 20),
    "o1-2024-12-17": date(2026, 9, 16),
    "o3-2025-04-16": date(2026, 10, 16),
    "o3-mini-2025-01-31": date(2026, 10, 1),
    "o3-pro-2025-06-10": date(2026, 12, 10),
    "o4-mini-2025-04-16": date(2026, 10, 16),
    "text-embedding-3-large-1": date(2027, 4, 15),
    "text-embedding-3-small-1": date(2027, 4, 15),
    "text-embedding-ada-002-2": date(2027, 4, 15),
}
"""Model and version → the day it retires."""


def retirement_of(model: str) -> date | None:
    """The day on which a model retires, by its name with its version; ``None`` where that is not known."""
    return RETIREMENTS.get(model)
