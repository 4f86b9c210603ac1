"""``tokenweir trace``: what happened to a call, step by step; and the token with which to have one traced."""

import sys
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from .params import ConfigOption, load_config

if TYPE_CHECKING:
    from ..config import Config

__all__ = ["trace"]

# The admin port takes any service's resource id.
_ISSUE = (
    "/subscriptions/-/resourceGroups/-/providers/Microsoft.ApiManagement/service/tokenweir"
    "/gateways/managed/listDebugCredentials?api-version=2023-05-01-preview"
)


def trace(
    call_id: Annotated[
        str | None, typer.Argument(metavar="CALL_ID", help="The answer's x-tokenweir-call-id or Apim-Trace-Id.")
    ] = None,
    headers: Annotated[bool, typer.Option("--headers", help="Show headers too; what may be secret is masked.")] = False,
    token: Annotated[
        bool,
        typer.Option(
            "--token",
            help='Instead, print a header that has calls traced for an hour: curl -H "$(tokenweir trace --token)"',
        ),
    ] = False,
    format: Annotated[
        Literal["table", "json"], typer.Option("--format", help="json: as API Management's listTrace.")
    ] = "table",
    file: ConfigOption = None,
) -> None:
    """Show what happened to one call, step by step. Exit code 1 if there is no such call."""
    config = load_config(file, checked=False).config
    if token == (call_id is not None):
        raise typer.BadParameter("give one call's id, or --token", param_hint="CALL_ID / --token")
    if call_id is None:
        _print_token(config)
    else:
        _print_trace(config, call_id, headers, format)


def _print_token(config: "Config") -> None:
    from .admin_client import AdminClient

    asked = {"apiId": f"/apis/{config.tracing.api}", "purposes": ["tracing"]}
    answer = AdminClient(config).post(_ISSUE, asked)
    print(f"Apim-Debug-Authorization: {answer['token']}")
    typer.echo(
        "Calls with this header are traced for an hour: give the answer's Apim-Trace-Id to `tokenweir trace`.",
        err=True,
    )


def _print_trace(config: "Config", call_id: str, headers: bool, format: str) -> None:
    from ..traces import record_of_row, trace_entries, why_no_trace
    from .books_access import open_books
    from .output import print_json

    with open_books(config) as books:
        row = books.call(call_id)
    if row is None:
        print(f"tokenweir: there is no call {call_id}", file=sys.stderr)
        raise typer.Exit(1)
    record = record_of_row(row)
    if format == "json":
        print_json({"traceId": call_id, "traceEntries": trace_entries(record)})
    else:
        from .trace_drawing import draw

        draw(record, with_headers=headers)
    if record.trace is None:
        print(f"tokenweir: only the record's own times are shown: {why_no_trace(record)}", file=sys.stderr)
