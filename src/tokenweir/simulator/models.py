"""Which model stands behind the name of a deployment."""

import re
from functools import lru_cache

__all__ = ["full_model_name"]

_DATED = re.compile(r"-(\d{4}|\d{4}-\d\d-\d\d)$")
_SNAPSHOTS = {
    "gpt-35-turbo": "gpt-35-turbo",
    "gpt-3.5-turbo": "gpt-3.5-turbo-0125",
    "gpt-4-turbo": "gpt-4-turbo-2024-04-09",
    "gpt-4o-mini": "gpt-4o-mini-2024-07-18",
    "gpt-4o": "gpt-4o-2024-11-20",
    "gpt-4.1-mini": "gpt-4.1-mini-2025-04-14",
    "gpt-4.1-nano": "gpt-4.1-nano-2025-04-14",
    "gpt-4.1": "gpt-4.1-2025-04-14",
    "gpt-4": "gpt-4-0613",
    "gpt-5-mini": "gpt-5-mini-2025-08-07",
    "gpt-5-nano": "gpt-5-nano-2025-08-07",
    "gpt-5": "gpt-5-2025-08-07",
    "o1": "o1-2024-12-17",
    "o3-mini": "o3-mini-2025-01-31",
    "o3": "o3-2025-04-16",
    "o4-mini": "o4-mini-2025-04-16",
    "text-embedding-3-large": "text-embedding-3-large",
    "text-embedding-3-small": "text-embedding-3-small",
    "text-embedding-ada-002": "text-embedding-ada-002",
}
_BY_LENGTH = sorted(_SNAPSHOTS, key=len, reverse=True)


@lru_cache(maxsize=1024)
def full_model_name(deployment: str | None, otherwise: str = "gpt-4o-2024-11-20") -> str:
    """The dated model behind a deployment's name, guessed as people name deployments (``gpt-4o-ptu``).

    ``otherwise`` is what a name stands for that says nothing.
    """
    name = deployment or ""
    for known in _BY_LENGTH:
        if name.startswith(known):
            return name if _DATED.search(name) else _SNAPSHOTS[known]
    return otherwise
