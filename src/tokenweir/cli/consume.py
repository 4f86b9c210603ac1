"""``tokenweir consume``: from Event Hubs or Kafka into the ledger."""

from enum import StrEnum
from typing import Annotated

import typer

from .params import ConfigOption

__all__ = ["consume"]


class Format(StrEnum):
    """The values of ``intake.format``."""

    tokenweir = "tokenweir"
    apim = "apim"


def consume(
    file: ConfigOption = None,
    format: Annotated[
        Format | None, typer.Option(help="What is in the messages, instead of intake.format.", show_default=False)
    ] = None,
) -> None:
    """Fill the ledger with the records that many gateways send to Event Hubs or Kafka.

    With --format apim, with the calls that API Management logs to Event Hubs, which are metered here.

    [intake] says where from, [ledger] where to. Start as many as you like: those of one group share the partitions.
    SIGHUP reads the configuration anew; SIGTERM lets the batch under way end.
    """

    from ..config import ConfigSource
    from ..serve.consuming import run

    options = {} if format is None else {"TOKENWEIR_INTAKE__FORMAT": format.value}
    raise typer.Exit(run(ConfigSource(file, options)))
