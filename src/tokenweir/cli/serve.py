"""``tokenweir serve``: the gateway."""

import os
import sys
from typing import Annotated

import typer

from .params import ConfigOption

__all__ = ["serve"]


def serve(
    file: ConfigOption = None,
    no_ledger: Annotated[
        bool,
        typer.Option("--no-ledger", help="Keep no ledger, only ship to [[sinks]]; as TOKENWEIR_LEDGER__URL=none."),
    ] = False,
) -> None:
    """Run the gateway until it is told to stop.

    Without a file, AZURE_OPENAI_ENDPOINT and AZURE_OPENAI_API_KEY are enough, as for the SDK; or AZURE_OPENAI_BASE_URL
    and AZURE_OPENAI_KEY, as for the SSE proxy function; or OPENAI_API_KEY.
    SIGHUP reloads callers, deployments, upstreams, sinks and prices; SIGTERM lets open answers finish first.
    """
    from ..build import require_whole_build
    from ..config import ConfigSource

    require_whole_build()
    options = {"TOKENWEIR_LEDGER__URL": "none"} if no_ledger else {}
    loaded = ConfigSource(file, options).load(os.environ)
    for note in loaded.notes:
        print(f"tokenweir: note: {note}", file=sys.stderr)
    from ..serve.supervisor import run

    raise typer.Exit(run(loaded.config, ConfigSource(loaded.source, options)))
