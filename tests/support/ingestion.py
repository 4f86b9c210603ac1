"""A real HTTP server that takes telemetry as Application Insights' ingestion does: items in JSON, plain or in gzip, to
``/v2.1/track``, taken as a whole, in part, or not at all."""

import gzip
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec

__all__ = ["INSTRUMENTATION_KEY", "Answer", "Ingestion", "Request", "accepted", "serving_ingestion", "some_of"]

PATH = "/v2.1/track"
INSTRUMENTATION_KEY = "11111111-2222-3333-4444-555555555555"
_LARGEST_ITEM = 65_536

Item = dict[str, Any]


class Request(msgspec.Struct, frozen=True):
    """One request, read."""

    headers: dict[str, str]
    items: list[Item]

    @property
    def call_ids(self) -> list[str]:
        return [item["data"]["baseData"]["properties"]["CallId"] for item in self.items]


class Answer(msgspec.Struct, frozen=True):
    """What is answered, and the places of the items that are taken."""

    status: int = 200
    taken: tuple[int, ...] = ()
    errors: tuple[tuple[int | None, int, str], ...] = ()
    """Index, status and message of each item that is not."""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    never_comes: bool = False


def accepted(request: Request) -> Answer:
    return Answer(taken=tuple(range(len(request.items))))


def some_of(request: Request, *errors: tuple[int | None, int, str], **others: Any) -> Answer:
    """A partial success: all items but these."""
    wrong = {index for index, _, _ in errors}
    taken = tuple(index for index in range(len(request.items)) if index not in wrong)
    return Answer(206 if taken else 400, taken, errors, **others)


class Ingestion:
    """``answer`` decides about each request that is in order; ``requests`` has all of them, ``taken`` the items that
    were."""

    def __init__(self, scheme: str = "http") -> None:
        self.scheme = scheme
        self.answer: Callable[[Request], Answer] = accepted
        self.requests: list[Request] = []
        self.taken: list[Item] = []
        self.others: list[tuple[str, str]] = []
        """Method and path of what was asked for besides."""
        self.port = 0
        self.over = threading.Event()

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def connection_string(self) -> str:
        return f"InstrumentationKey={INSTRUMENTATION_KEY};IngestionEndpoint={self.url}/;LiveEndpoint={self.url}/live/"

    @property
    def events(self) -> list[dict[str, Any]]:
        """Of what was taken: name, time and properties."""
        return [{"time": item["time"], **item["data"]["baseData"]} for item in self.taken]

    @property
    def call_ids(self) -> list[str]:
        return Request({}, self.taken).call_ids

    def answer_to(self, headers: dict[str, str], body: bytes) -> Answer:
        plain = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
        items = msgspec.json.decode(plain, type=list[Item])
        request = Request(headers, items)
        self.requests.append(request)
        if any(item["iKey"] != INSTRUMENTATION_KEY for item in items):
            return some_of(request, *((index, 400, "Invalid instrumentation key") for index in range(len(items))))
        too_large = [index for index, item in enumerate(items) if len(msgspec.json.encode(item)) > _LARGEST_ITEM]
        if too_large:
            return some_of(request, *((index, 400, "102: Event is too large") for index in too_large))
        return self.answer(request)


@contextmanager
def serving_ingestion(tls: ssl.SSLContext | None = None) -> Iterator[Ingestion]:
    ingestion = Ingestion("http" if tls is None else "https")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            ingestion.others.append(("GET", self.path))
            self._say(Answer(404))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.path != PATH:
                ingestion.others.append(("POST", self.path))
                self._say(Answer(404))
                return
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = ingestion.answer_to(headers, body)
            if answer.never_comes:
                ingestion.over.wait()
                self.close_connection = True
                return
            items = ingestion.requests[-1].items
            ingestion.taken += [items[index] for index in answer.taken]
            self._say(answer, len(items))

        def _say(self, answer: Answer, received: int = 0) -> None:
            told = {
                "itemsReceived": received,
                "itemsAccepted": len(answer.taken),
                "appId": None,
                "errors": [
                    {"index": index, "statusCode": status, "message": message}
                    for index, status, message in answer.errors
                ],
            }
            body = msgspec.json.encode(told) if answer.body is None else answer.body
            self.send_response(answer.status)
            for name, value in (*answer.headers, ("Content-Type", "application/json; charset=utf-8")):
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            """Whoever hangs up, or does not trust our certificate, is what a test is about."""

    server = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        # The handshake is each connection's own business, in its own thread.
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    ingestion.port = server.server_address[1]
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    serving.start()
    try:
        yield ingestion
    finally:
        ingestion.over.set()
        server.shutdown()
        serving.join()
        server.server_close()
