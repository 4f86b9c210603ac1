"""Proxies that break streaming, each in one way, in front of a real endpoint."""

import http.client
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from support.scripted import Line, Play
from support.streams import chunked

__all__ = ["buffering", "gathering", "rewriting"]


def buffering(url: str, *, states_length: bool) -> Play:
    """Passes nothing on before it has the whole answer."""

    def play(line: Line) -> None:
        with _forwarded(url, line) as answer:
            whole = answer.read()
            if states_length:
                line.send(_head(answer, f"content-length: {len(whole)}") + whole)
            else:
                line.send(_head(answer, "transfer-encoding: chunked") + chunked(whole) + b"0\r\n\r\n")

    return play


def gathering(url: str, size: int) -> Play:
    """Passes the answer on whenever ``size`` bytes of it have come; the head at once."""

    def play(line: Line) -> None:
        with _forwarded(url, line) as answer:
            line.send(_head(answer, "connection: close"))
            while block := answer.read(size):
                line.send(block)

    return play


def rewriting(url: str, rewrite: Callable[[bytes], bytes], *lines: str) -> Play:
    """Passes each line on as ``rewrite`` makes it, with these header lines besides."""

    def play(line: Line) -> None:
        with _forwarded(url, line) as answer:
            line.send(_head(answer, "connection: close", *lines))
            for text in iter(answer.readline, b""):
                line.send(rewrite(text))

    return play


@contextmanager
def _forwarded(url: str, line: Line) -> Iterator[http.client.HTTPResponse]:
    """The endpoint's answer to one request. Heads come in lower case, which nothing here minds."""
    head, body = line.read_request()
    first, *rest = head.decode().split("\r\n")
    method, target, _ = first.split(" ")
    headers = dict(each.split(": ", 1) for each in rest if each and not each.startswith("connection"))
    connection = http.client.HTTPConnection(url.removeprefix("http://"))
    try:
        connection.request(method.upper(), target, body, headers)
        yield connection.getresponse()
    finally:
        connection.close()


def _head(answer: http.client.HTTPResponse, *lines: str) -> bytes:
    kept = [f"{name}: {value}" for name, value in answer.getheaders() if name.startswith("x-")]
    given = {line.partition(":")[0] for line in lines}
    if "content-type" not in given:
        kept.append(f"content-type: {answer.getheader('content-type')}")
    return "\r\n".join([f"HTTP/1.1 {answer.status} OK", *kept, *lines, "", ""]).encode()
