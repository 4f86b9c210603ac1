"""``tokenweir simulate``: an Azure OpenAI on this machine that does as each request tells it."""

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ..simulator import SimulatorSettings

__all__ = ["simulate"]

_EXAMPLE = """\
curl -N '{url}/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21' \\
  -H 'api-key: {key}' -H 'content-type: application/json' \\
  -H 'x-simulate: {{"output_tokens": 60, "chunk_delay": "50ms"}}' \\
  -d '{{"stream": true, "stream_options": {{"include_usage": true}}, \
"messages": [{{"role": "user", "content": "Hello"}}]}}'"""


def simulate(
    listen: Annotated[str, typer.Option(help="Address and port; port 0 takes a free one.")] = "127.0.0.1:9000",
    key: Annotated[
        str | None,
        typer.Option(
            envvar="TOKENWEIR_SIMULATE_KEY",
            help="The only key that is let in, as api-key or Bearer.",
            show_default="any key, or none",
        ),
    ] = None,
    ledger: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Append every call to FILE as a line of JSON.", show_default="no file"),
    ] = None,
    region: Annotated[
        str, typer.Option(help="What x-ms-region says, unless a request says otherwise.")
    ] = "Sweden Central",
    tls_cert: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Certificate chain (PEM); serves HTTPS.", show_default="plain HTTP"),
    ] = None,
    tls_key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Private key (PEM).", show_default="the one in the certificate's file"),
    ] = None,
    script: Annotated[
        str | None,
        typer.Option(
            metavar="JSON",
            help="What happens to requests that say nothing: the members of x-simulate.",
            show_default="all goes well",
        ),
    ] = None,
    requests_per_minute: Annotated[
        int | None,
        typer.Option(min=1, help="Of each deployment; above that 429 and Retry-After.", show_default="no limit"),
    ] = None,
    tokens_per_minute: Annotated[
        int | None, typer.Option(min=1, help="The same for tokens.", show_default="no limit")
    ] = None,
    refuse_stream_options: Annotated[
        bool,
        typer.Option(
            "--refuse-stream-options",
            help="Answer 400 to stream_options, as old api-versions do.",
            show_default="only deployments named old…",
        ),
    ] = False,
) -> None:
    """Run an Azure OpenAI on this machine that does as each request tells it.

    A request says what should happen in the header x-simulate (or the body's member "simulation"), as
    JSON: {"output_tokens": 200, "chunk_delay": "20ms"}, {"status": 429, "retry_after": 2},
    {"reset_after": 5}. A misspelt member is answered with the nearest known one.
    GET /simulator/calls lists what was asked and what was said; DELETE clears the list.

    All that it can: docs/guides/simulator.md.
    """
    import uvloop

    from ..simulator import SimulatorSettings, script_from

    settings = SimulatorSettings(
        listen=listen,
        key=key,
        region=region,
        ledger=str(ledger) if ledger else None,
        certificate=str(tls_cert) if tls_cert else None,
        private_key=str(tls_key) if tls_key else None,
        script=script_from(script or "{}"),
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
        refuse_stream_options=refuse_stream_options,
    )
    uvloop.run(_serve(settings))


async def _serve(settings: "SimulatorSettings") -> None:
    """Runs until SIGINT or SIGTERM."""
    import asyncio

    from rich.console import Console

    from ..simulator import Simulator

    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    console = Console(soft_wrap=True, highlight=False)
    async with Simulator(settings) as simulator:
        example = _EXAMPLE.format(url=simulator.url, key="<your key>" if settings.key else "anything")
        console.print(f"A simulated Azure OpenAI listens on [bold]{simulator.url}[/]\n")
        console.print(example, markup=False)
        console.print(f"\nWhat it said and used: {simulator.url}/simulator/calls   Ctrl-C ends it.")
        console.file.flush()
        await stopped.wait()
