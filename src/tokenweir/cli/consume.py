"""``tokenweir consume``: from Event Hubs or Kafka into the ledger."""

import typer

from .params import ConfigOption, load_config

__all__ = ["consume"]


def consume(file: ConfigOption = None) -> None:
    """Fill the ledger with the records that many gateways send to Event Hubs or Kafka.

    [intake] says where from, [ledger] where to. Start as many as you like: those of one group share the partitions.
    SIGTERM lets the batch under way end.
    """
    from ..serve.consuming import run

    raise typer.Exit(run(load_config(file, checked=False).config))
