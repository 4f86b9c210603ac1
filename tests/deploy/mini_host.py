"""The host's side of the real Functions runtime, as far as one HTTP call or one batch of events needs it. Not a test: a
Python 3.13 that has `azure-functions-runtime` runs it, and nothing else of the project.

    mini_host.py http FOLDER PATH BODY N   loads the app in FOLDER, POSTs BODY to PATH N times, prints a JSON line for
                                           each piece
    mini_host.py hub FOLDER FILE           loads the app in FOLDER, gives it the lines of FILE as one batch of events
"""

import asyncio
import http.client
import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import azure_functions_runtime as runtime

# The protocol's enums, as far as the runtime compares them with numbers.
NUMBERS = {"Failure": 0, "Success": 1, "in": 0, "out": 1, "inout": 2}


class AnyWord(type):
    """Lets a message have any enum's words: their numbers, or where those do not matter, themselves."""

    def __getattr__(cls, word: str) -> int | str:
        if word.startswith("__"):
            raise AttributeError(word)
        return NUMBERS.get(word, word)


class Proto(metaclass=AnyWord):
    """Any message of the protocol: it holds what it is made with, and what it was not given is None."""

    def __init__(self, *args: Any, **fields: Any) -> None:
        self.__dict__.update(fields)

    def __getattr__(self, name: str) -> Any:
        if name == "TypedData":  # the runtime tells a message from the protocol by not having it
            raise AttributeError(name)
        return None

    def WhichOneof(self, kind: str) -> str | None:
        return self.which  # type: ignore[no-any-return]


class Protos:
    def __getattr__(self, name: str) -> AnyWord:
        return AnyWord(name, (Proto,), {})


def asking(name: str, **fields: Any) -> Any:
    properties = {"host": "127.0.0.1", "protos": Protos()}
    return SimpleNamespace(request=SimpleNamespace(**{name: Proto(**fields)}), properties=properties)


def say(**what: Any) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def post(url: str, path: str, body: str, invocation: str) -> None:
    """As the host's proxy: the caller's request, the invocation's id in a header."""
    connection = http.client.HTTPConnection(url.removeprefix("http://").rstrip("/"))
    while connection.sock is None:
        with suppress(ConnectionRefusedError):  # its web server is just starting
            connection.connect()
    headers = {"content-type": "application/json", "x-ms-invocation-id": invocation, "x-functions-key": "secret"}
    connection.request("POST", path, body, headers)
    answer = connection.getresponse()
    say(status=answer.status, region=answer.getheader("x-ms-region"))
    while piece := answer.read1():
        say(piece=piece.decode())
    say(whole=True)


async def load(folder: str) -> tuple[Any, str]:
    """What the runtime says of itself, and the id of the app's one function."""
    sys.path.insert(0, folder)
    began = await runtime.worker_init_request(
        asking("worker_init_request", function_app_directory=folder, capabilities={})
    )
    found = await runtime.functions_metadata_request(asking("functions_metadata_request"))
    (function,) = found.function_metadata_results
    loaded = await runtime.function_load_request(
        asking("function_load_request", function_id=function.function_id, metadata=function)
    )
    say(loaded=loaded.result.status)
    return began, function.function_id


def invocation(function_id: str, given: Any, metadata: dict[str, Any], called: str = "one") -> Any:
    return runtime.invocation_request(
        asking(
            "invocation_request",
            invocation_id=called,
            function_id=function_id,
            input_data=[given],
            trigger_metadata=metadata,
            trace_context=Proto(attributes={}),
            retry_context=Proto(),
        )
    )


async def http_call(folder: str, path: str, body: str, count: str) -> None:
    began, function_id = await load(folder)
    for number in range(int(count)):
        told = Proto(params={"path": "chat"}, headers={}, query={}, body=Proto(which=None))
        request = Proto(name="req", data=Proto(http=told, which="http"), which="data")
        posting = asyncio.to_thread(post, began.capabilities["HttpUri"], path, body, f"call-{number}")
        _, ended = await asyncio.gather(posting, invocation(function_id, request, {}, f"call-{number}"))
        say(invocation=ended.result.status)


def lines_of(file: str) -> list[bytes]:
    return Path(file).read_bytes().splitlines()


async def batch(folder: str, file: str) -> None:
    _, function_id = await load(folder)
    bodies = lines_of(file)
    events = Proto(
        name="events", which="data", data=Proto(collection_bytes=Proto(bytes=bodies), which="collection_bytes")
    )
    places = [{"SequenceNumber": number, "Offset": str(number), "PartitionKey": None} for number in range(len(bodies))]
    metadata = {
        "SystemPropertiesArray": Proto(json=json.dumps(places), which="json"),
        "PropertiesArray": Proto(json=json.dumps([{} for _ in bodies]), which="json"),
    }
    ended = await invocation(function_id, events, metadata)
    say(invocation=ended.result.status)


async def main(kind: str, *arguments: str) -> None:
    await (http_call if kind == "http" else batch)(*arguments)
    sys.stdout.flush()
    os._exit(0)  # the runtime's web server has no end of its own


asyncio.run(main(*sys.argv[1:]))
