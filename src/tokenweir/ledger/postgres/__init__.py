"""The ledger in PostgreSQL, for many gateways and consumers. Nothing is imported here: the driver is an extra."""

__all__: list[str] = []
