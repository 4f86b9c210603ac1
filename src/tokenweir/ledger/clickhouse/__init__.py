"""The ledger in ClickHouse, for calls by the hundred million. Nothing is imported here: the client is an extra."""

__all__: list[str] = []
