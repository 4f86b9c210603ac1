"""The Function App of the gateway, called as the Functions runtime calls it: the user function, then its response."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
import uvicorn
from openai import APIError, AzureOpenAI
from starlette.requests import Request

from support.amqp.emulator import running_event_hubs
from support.function_apps import FUNCTIONS, load_function_app
from support.scripted import Line, scripted
from support.streams import DONE, LAST_CHUNK, STREAM_HEAD, USAGE, answer, chunked, frame
from tokenweir.simulator import HostedSimulator, Script, running_simulator

VERSION = "2024-10-21"


@pytest.fixture
def sim() -> Iterator[HostedSimulator]:
    with running_simulator() as simulator:
        yield simulator


@pytest.fixture
def function_app(sim: HostedSimulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """As the platform loads it, with the SSE proxy's variables and a file in the place of the hub."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AZURE_OPENAI_KEY", "upstream-key")
    monkeypatch.setenv("AZURE_OPENAI_API_VERSION", VERSION)
    monkeypatch.setenv("AZURE_OPENAI_BASE_URL", sim.url)
    monkeypatch.setenv("TOKENWEIR_CONFIG", str(tmp_path / "sinks.toml"))
    (tmp_path / "sinks.toml").write_text(
        '[journal]\ncontent = "full"\n'
        '[[sinks]]\nname = "lines"\nkind = "file"\nshape = "sse-proxy"\n'
        f'connection = {{ path = "{tmp_path}/events.jsonl" }}\n'
    )
    return load_function_app("gateway")


@contextmanager
def function_host(function_app: ModuleType) -> Iterator[str]:
    """Stands for the runtime: its own uvicorn, which sends whatever response the function has returned. Gives the
    URL; at the end the gateway is stopped, and its records are with the sinks."""
    (function,) = function_app.app.get_functions()
    relay = function.get_user_function()
    stopped = threading.Event()

    async def runtime(scope: Any, receive: Any, send: Any) -> None:
        response = await relay(req=Request(scope, receive))
        await response(scope, receive, send)

    server = uvicorn.Server(uvicorn.Config(runtime, port=0, log_config=None, access_log=False, lifespan="off"))
    started = threading.Event()

    async def serve() -> None:
        serving = asyncio.get_running_loop().create_task(server.serve())
        while not (server.started or serving.done()):  # noqa: ASYNC110 - uvicorn has nothing to wait for
            await asyncio.sleep(0)
        started.set()
        await serving
        await function_app.gateway.stop()
        stopped.set()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="functions")
    thread.start()
    try:
        assert started.wait(20)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
    assert stopped.is_set()


def events(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


def test_it_is_one_function_for_all_that_is_below_openai_and_asks_for_a_key(function_app: ModuleType) -> None:
    (function,) = function_app.app.get_functions()
    trigger = function.get_trigger().get_dict_repr()
    assert trigger["route"] == "openai/{*path}"
    assert trigger["authLevel"].value == "function"
    assert {method.value for method in trigger["methods"]} >= {"GET", "POST", "DELETE"}


@pytest.mark.parametrize("prefix", ["/api", ""])
def test_the_official_sdk_streams_and_calls_through_it_and_the_events_are_the_proxys(
    sim: HostedSimulator, function_app: ModuleType, tmp_path: Path, prefix: str
) -> None:
    told: Any = [{"role": "user", "content": "What does a weir do?"}]
    said = ""
    with (
        function_host(function_app) as url,
        AzureOpenAI(
            azure_endpoint=url + prefix,
            api_key="whatever the proxy's callers send",
            api_version=VERSION,
            max_retries=0,
            default_headers={"x-functions-key": "secret-functions-key", "x-simulate": Script(output_tokens=30).text()},
            default_query={"code": "secret-functions-key"},
        ) as client,
    ):
        with client.chat.completions.create(model="gpt-4o", messages=told, stream=True) as stream:
            for chunk in stream:
                said += (chunk.choices[0].delta.content or "") if chunk.choices else ""
        whole = client.chat.completions.create(model="gpt-4o", messages=told)
    streamed, answered = events(tmp_path)

    assert streamed["type"] == "stream_completion"
    assert streamed["content"] == said != ""
    assert streamed["prompt"] == told
    assert answered["type"] == "completion"
    assert whole.usage is not None
    for event in (streamed, answered):
        assert event["usage"]["total_tokens"] == whole.usage.total_tokens
    assert "secret-functions-key" not in (tmp_path / "events.jsonl").read_text()
    assert len(sim.calls) == 2


def test_what_the_platform_puts_in_does_not_arrive_upstream(
    function_app: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads: list[bytes] = []

    def play(line: Line) -> None:
        head, _ = line.read_request()
        heads.append(head)
        line.send(answer(b"{}"))

    canary = "c4nary-in-the-mine"
    names = ["x-functions-key", "X-Functions-ClientId", "x-ms-client-principal", "x-ms-token-aad-id-token", "cookie"]
    names += ["x-arr-log-id", "X-APPSERVICE-PROTO", "x-waws-unencoded-url", "x-original-url", "client-ip", "x_api_key"]
    names += ["disguised-host", "max-forwards", "was-default-hostname", "x-ms-invocation-id", "x-site-deployment-id"]
    with scripted(play) as upstream:
        monkeypatch.setenv("AZURE_OPENAI_BASE_URL", upstream.url)
        with function_host(function_app) as url:
            query = f"api-version={VERSION}&Code={canary}&api%2Dkey={canary}"
            headers = {"x-ours": "sings", **dict.fromkeys(names, canary)}
            response = httpx.get(f"{url}/api/openai/models?{query}", headers=headers)
    assert response.status_code == 200
    (head,) = heads
    assert b"x-ours: sings" in head
    assert canary.encode() not in head
    assert f"/openai/models?api-version={VERSION} ".encode() in head


def test_the_settings_name_every_variable_of_the_proxy() -> None:
    values = json.loads((FUNCTIONS / "gateway/local.settings.sample.json").read_text())["Values"]
    proxy = ["AZURE_OPENAI_KEY", "AZURE_OPENAI_API_VERSION", "AZURE_OPENAI_BASE_URL"]
    proxy += ["AZURE_EVENTHUB_CONN_STR", "AZURE_EVENTHUB_NAME", "PYTHON_ENABLE_INIT_INDEXING"]
    assert [name for name in proxy if name not in values] == []


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (STREAM_HEAD, ("no-cache", "no")),
        (STREAM_HEAD.replace(b"\r\n\r\n", b"\r\nCache-Control: no-store\r\n\r\n"), ("no-store", "no")),
        (STREAM_HEAD.replace(b"text/event-stream", b"application/json"), (None, None)),
    ],
)
def test_streams_ask_servers_in_front_to_let_them_flow_where_the_upstream_says_nothing_of_it(
    function_app: ModuleType, monkeypatch: pytest.MonkeyPatch, sent: bytes, expected: tuple[str | None, str | None]
) -> None:
    def play(line: Line) -> None:
        line.read_request()
        line.send(sent + chunked(frame("Water "), USAGE, DONE) + LAST_CHUNK)

    with scripted(play) as upstream:
        monkeypatch.setenv("AZURE_OPENAI_BASE_URL", upstream.url)
        with function_host(function_app) as url:
            answered = httpx.post(
                f"{url}/api/openai/deployments/d/chat/completions", json={"messages": [], "stream": True}
            )
    assert (answered.headers.get("cache-control"), answered.headers.get("x-accel-buffering")) == expected


def test_openais_own_api_stands_behind_the_same_routes_and_variables(
    sim: HostedSimulator, function_app: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_OPENAI_BASE_URL", f"{sim.url}/v1")
    told: Any = [{"role": "user", "content": "What does a weir do?"}]
    with (
        function_host(function_app) as url,
        AzureOpenAI(azure_endpoint=url + "/api", api_key="any", api_version=VERSION, max_retries=0) as client,
    ):
        assert client.chat.completions.create(model="gpt-4o", messages=told).choices
    [event] = events(tmp_path)
    assert (event["deployment"], event["requested_model"], event["api_version"]) == ("gpt-4o", "gpt-4o", VERSION)
    assert [call.path for call in sim.calls] == ["/v1/chat/completions"]


def read_as_the_readme_says(body: bytes) -> dict[str, Any]:
    """The fields and types that the SSE proxy function's README lists for its two kinds of events, and nothing else."""
    event: dict[str, Any] = json.loads(body)
    texts = {name: event[name] for name in ("content", "model", "region")}
    assert all(isinstance(text, str) for text in texts.values()), texts
    counts = [event["usage"][name] for name in ("completion_tokens", "prompt_tokens", "total_tokens")]
    assert all(isinstance(count, int) for count in counts)
    assert sum(counts[:2]) == counts[2] > 0
    assert all({"role", "content"} <= message.keys() for message in event["prompt"])
    assert datetime.fromisoformat(event["timestamp"]).tzinfo is None
    timings = ["latency_ms"]
    if event["type"] == "stream_completion":
        timings += ["time_to_first_chunk_ms", "streaming_duration_ms"]
    else:
        assert event["type"] == "completion"
    assert all(isinstance(event[name], int) and event[name] >= 0 for name in timings)
    return event


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the SDK of Event Hubs leaves sockets to the garbage collector
def test_a_consumer_written_from_the_proxys_readme_reads_every_message_whatever_is_called(
    sim: HostedSimulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told: Any = [{"role": "user", "content": "What does a weir do?"}]
    tool: Any = {"type": "function", "function": {"name": "measure", "parameters": {}}}
    monkeypatch.chdir(tmp_path)
    with running_event_hubs({"llm": 1}, max_message_size=64 * 1024) as hubs:
        for name, value in {
            "AZURE_OPENAI_KEY": "upstream-key",
            "AZURE_OPENAI_API_VERSION": VERSION,
            "AZURE_OPENAI_BASE_URL": sim.url,
            "AZURE_EVENTHUB_CONN_STR": hubs.connection_string(),
            "AZURE_EVENTHUB_NAME": "llm",
        }.items():
            monkeypatch.setenv(name, value)
        with (
            function_host(load_function_app("gateway")) as url,
            AzureOpenAI(azure_endpoint=url + "/api", api_key="any", api_version=VERSION, max_retries=0) as client,
        ):
            chat = client.chat.completions
            for stream in (False, True):
                for more in ({}, {"n": 2}, {"tools": [tool], "tool_choice": "required"}, {"stream_options": None}):
                    list(chat.create(model="gpt-4o", messages=told, stream=stream, **more))
                large: Any = [{"role": "user", "content": "x" * 200_000}]
                list(chat.create(model="gpt-4o", messages=large, stream=stream))
                for script in (Script(status=429), Script(output_tokens=9, reset_after=3)):
                    with pytest.raises((APIError, httpx.HTTPError)):
                        list(chat.create(model="gpt-4o", messages=told, stream=stream, extra_headers=script.headers()))
            client.embeddings.create(model="embedding", input="weir")
            client.models.list()
        messages = [event.body for events in hubs.received("llm").values() for event in events]
    read = [read_as_the_readme_says(message) for message in messages]
    assert len(read) == 10
    assert [event["prompt"] for event in read].count([]) == 2  # the large ones, without their prompts
    assert all("bodies_shed" in event for event in read if not event["prompt"])
