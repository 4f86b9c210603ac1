"""The ledger in a file of its own, for one gateway. Nothing is imported here: a relay must not load the engine."""

__all__: list[str] = []
