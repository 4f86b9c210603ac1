"""The host's side of the real Functions runtime, as far as one HTTP call needs it. Not a test: it is run by a Python
3.13 that has `azure-functions-runtime`, and by nothing else of the project.

    mini_host.py FOLDER PATH BODY   loads the app in FOLDER, POSTs BODY to PATH, prints a JSON line for each piece
"""

import asyncio
import http.client
import json
import os
import sys
from contextlib import suppress
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


def post(url: str, path: str, body: str) -> None:
    """As the host's proxy: the caller's request, the invocation's id in a header."""
    connection = http.client.HTTPConnection(url.removeprefix("http://").rstrip("/"))
    while connection.sock is None:
        with suppress(ConnectionRefusedError):  # its web server is just starting
            connection.connect()
    headers = {"content-type": "application/json", "x-ms-invocation-id": "one", "x-functions-key": "secret"}
    connection.request("POST", path, body, headers)
    answer = connection.getresponse()
    say(status=answer.status, region=answer.getheader("x-ms-region"))
    while piece := answer.read1():
        say(piece=piece.decode())
    say(whole=True)


async def main(folder: str, path: str, body: str) -> None:
    sys.path.insert(0, folder)
    began = await runtime.worker_init_request(
        asking("worker_init_request", function_app_directory=folder, capabilities={})
    )
    found = await runtime.functions_metadata_request(asking("functions_metadata_request"))
    (function,) = found.function_metadata_results
    await runtime.function_load_request(asking("function_load_request", function_id=function.function_id))
    told = Proto(params={"path": "chat"}, headers={}, query={}, body=Proto(which=None))
    request = Proto(name="req", data=Proto(http=told, which="http"), which="data")
    invocation = runtime.invocation_request(
        asking(
            "invocation_request",
            invocation_id="one",
            function_id=function.function_id,
            input_data=[request],
            trigger_metadata={},
            trace_context=Proto(attributes={}),
            retry_context=Proto(),
        )
    )
    _, ended = await asyncio.gather(asyncio.to_thread(post, began.capabilities["HttpUri"], path, body), invocation)
    say(invocation=ended.result.status)
    os._exit(0)  # the runtime's web server has no end of its own


asyncio.run(main(*sys.argv[1:]))
