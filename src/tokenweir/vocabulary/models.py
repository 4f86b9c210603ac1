"""Which model counts with which encoding: the longest prefix in one table.

Every model since gpt-4o (2024) uses o200k, so an unknown name does too. Azure writes ``gpt-35`` for
``gpt-3.5``; the name of a deployment says nothing, so ask for the model that answered. The first
completion models (ada to davinci, before 2023) used vocabularies that are not shipped; cl100k is the
nearest.
"""

__all__ = ["encoding_name"]

_ENCODINGS = {
    "ada": "cl100k_base",
    "babbage": "cl100k_base",
    "chatgpt-": "o200k_base",
    "code-": "cl100k_base",
    "curie": "cl100k_base",
    "davinci": "cl100k_base",
    "gpt-3.5": "cl100k_base",
    "gpt-35": "cl100k_base",
    "gpt-4": "cl100k_base",
    "gpt-4.": "o200k_base",
    "gpt-4o": "o200k_base",
    "gpt-5": "o200k_base",
    "gpt-oss": "o200k_base",
    "o": "o200k_base",
    "text-": "cl100k_base",
}

_BY_LENGTH = sorted(_ENCODINGS.items(), key=lambda entry: len(entry[0]), reverse=True)


def encoding_name(model: str | None) -> str:
    """``o200k_base`` or ``cl100k_base`` for a model's name, dated, fine-tuned (``ft:``) or unknown."""
    name = (model or "").removeprefix("ft:").lower()
    return next((encoding for prefix, encoding in _BY_LENGTH if name.startswith(prefix)), "o200k_base")
