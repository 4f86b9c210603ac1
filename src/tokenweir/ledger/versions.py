"""A ledger's format is the number of its migrations. Older ones are brought up to date, newer ones left alone."""

from ..errors import ConfigError

__all__ = ["refuse_newer"]


def refuse_newer(applied: int, known: int) -> None:
    """`ConfigError` for a ledger that has seen more migrations than this program has."""
    if applied > known:
        raise ConfigError(
            f"this ledger has format {applied} and this program knows formats up to {known}: "
            "a newer Tokenweir wrote it; upgrade, or name another ledger in ledger.url"
        )
