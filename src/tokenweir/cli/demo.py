"""``tokenweir demo``: simulator, gateway and books on this machine, two real calls, and their records."""

import json
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from openai import AzureOpenAI

    from ..serve.gateway_process import GatewayProcess

__all__ = ["demo"]

_API_VERSION = "2024-10-21"
_QUESTION = [{"role": "user", "content": "What does a weir do to a river?"}]

_INVITATION = f"""
── point your own client at it ──

    from openai import AzureOpenAI
    client = AzureOpenAI(azure_endpoint="{{url}}", api_version="{_API_VERSION}", api_key="{{key}}")

    curl -N '{{url}}/openai/deployments/{{model}}/chat/completions?api-version={_API_VERSION}' \\
      -H 'api-key: {{key}}' -H 'content-type: application/json' \\
      -d '{{{{"stream": true, "messages": [{{{{"role": "user", "content": "Hello"}}}}]}}}}'

    curl '{{admin}}/api/usage?by=caller,model'

It runs until Ctrl-C; everything it wrote is removed then."""


def demo(
    once: Annotated[
        bool, typer.Option("--once", help="Print the answers and the two records as JSON lines, then end.")
    ] = False,
    real: Annotated[
        bool, typer.Option("--real", help="Ask a real model, Gemma 270M through xllamacpp, instead of the simulator.")
    ] = False,
) -> None:
    """Start a simulator, a gateway and its books, send a plain and a streamed call, show their records."""
    try:
        import openai  # noqa: F401
    except ImportError as error:
        raise typer.BadParameter("the demo calls with the official SDK: pip install 'tokenweir[demo]'") from error
    from ..simulator import SimulatorSettings, running_simulator

    for number in (signal.SIGTERM, signal.SIGHUP):  # end as Ctrl-C does, with the gateway and the folder
        signal.signal(number, signal.default_int_handler)
    if real:
        from .real_model import running_model

        with running_model() as url:
            _demonstrate(url, kind="openai", model="gemma-3-270m", once=once)
    else:
        with running_simulator(SimulatorSettings(listen="127.0.0.1:0")) as simulator:
            _demonstrate(simulator.url, kind="azure", model="gpt-4o", once=once)


def _demonstrate(upstream: str, *, kind: str, model: str, once: bool) -> None:
    import secrets
    import tempfile

    from ..serve.gateway_process import running_gateway

    key = "tw-" + secrets.token_urlsafe(24)
    with tempfile.TemporaryDirectory(prefix="tokenweir-demo-") as folder:
        data, admin = _address(8080), _address(8081)
        config = Path(folder) / "tokenweir.toml"
        config.write_text(_configuration(folder, data, admin, upstream, kind, key))
        _say(once, f"simulator  {upstream}\ngateway    http://{data}\nbooks      http://{admin}\n")
        with running_gateway(config, data, admin, log=Path(folder) / "log") as gateway:
            _call(gateway, key, model, once=once)
            _show_records(gateway, once=once)
            if not once:
                _stay(gateway, key, model)


def _call(gateway: "GatewayProcess", key: str, model: str, *, once: bool) -> None:
    """One plain and one streamed call with the unmodified SDK; only its endpoint and key are ours.

    A proxy in the environment is not for loopback, so nothing is read from there.
    """
    from openai import AzureOpenAI, DefaultHttpxClient

    with AzureOpenAI(
        azure_endpoint=gateway.url,
        api_key=key,
        api_version=_API_VERSION,
        http_client=DefaultHttpxClient(trust_env=False),
    ) as client:
        _say(once, "── a plain call ──")
        print(_plain(client, model))
        _say(once, "\n── a streamed call, as it arrives ──")
        for text in _streamed(client, model):
            print(text, end="", flush=True)
        print()


def _plain(client: "AzureOpenAI", model: str) -> str:
    messages: Any = _QUESTION
    answer = client.chat.completions.create(model=model, messages=messages, max_tokens=40)
    return answer.choices[0].message.content or ""


def _streamed(client: "AzureOpenAI", model: str) -> Any:
    messages: Any = _QUESTION
    script = {"x-simulate": json.dumps({"chunk_delay": "25ms"})}
    with client.chat.completions.create(
        model=model, messages=messages, max_tokens=60, stream=True, extra_headers=script
    ) as stream:
        for chunk in stream:
            if chunk.choices and chunk.choices[0].delta and chunk.choices[0].delta.content:
                yield chunk.choices[0].delta.content


def _show_records(gateway: "GatewayProcess", *, once: bool) -> None:
    from urllib.request import ProxyHandler, build_opener

    with build_opener(ProxyHandler({})).open(f"{gateway.admin_url}/api/calls?limit=2") as answer:
        records = json.load(answer)
    _say(once, "\n── their records: who, what, how much, how fast ──")
    for record in reversed(records["calls"] if isinstance(records, dict) else records):
        if once:
            print(json.dumps(record, ensure_ascii=False))
        else:
            shown = {name: value for name, value in record.items() if value not in (None, "", 0, [], {})}
            print(json.dumps(shown, indent=2, ensure_ascii=False))


def _stay(gateway: "GatewayProcess", key: str, model: str) -> None:
    try:
        print(_INVITATION.format(url=gateway.url, admin=gateway.admin_url, key=key, model=model), flush=True)
        signal.pause()
    except KeyboardInterrupt:
        print("\nstopping", file=sys.stderr)


def _address(preferred: int) -> str:
    """The usual port if it is free, else any."""
    import socket

    from ..serve.gateway_process import free_port

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", preferred))
        except OSError:
            return f"127.0.0.1:{free_port()}"
    return f"127.0.0.1:{preferred}"


def _configuration(folder: str, data: str, admin: str, upstream: str, kind: str, key: str) -> str:
    import hashlib

    return f"""
[server]
data = "{data}"
admin = "{admin}"
keys = "{folder}/keys.json"
shutdown_grace = "2s"

[journal]
directory = "{folder}/journal"
durability = "strict"   # the records are asked for as soon as the answers have ended

[ledger]
url = "duckdb:{folder}/ledger.duckdb"

[[upstreams]]
name = "demo"
endpoint = "{upstream}"
kind = "{kind}"
credential = {{ key = "not-needed" }}

[[callers]]
name = "demo-team"
key_sha256 = "{hashlib.sha256(key.encode()).hexdigest()}"
tags = {{ cost_centre = "4711" }}
"""


def _say(once: bool, text: str) -> None:
    if not once:
        print(text, flush=True)
