"""Subjects as they may be written down where nobody is to read who it was, and the same person is still the same."""

import hmac

__all__ = ["hashed_subject"]

_HEX_DIGITS = 32
"""128 bits: no two of a million millions are the same."""


def hashed_subject(secret: str, name: str) -> str:
    """``sub_`` and a keyed hash: without the secret, nobody can try names until one fits."""
    return f"sub_{hmac.digest(secret.encode(), name.encode(), 'sha256').hex()[:_HEX_DIGITS]}"
