"""Requests as the data port reads them: from bytes to a whole ``Request``."""

from datetime import UTC, datetime

from tokenweir.gateway.accept import address_of, read_body
from tokenweir.gateway.request import Request
from tokenweir.wire import read_request_head

__all__ = ["asked", "chat"]


def asked(first: str, *lines: str, body: bytes = b"") -> Request:
    """``first`` is method and target; a length is added where there is a body and no framing of the test's own."""
    frames = ("content-length", "transfer-encoding")
    if body and not any(line.lower().startswith(frames) for line in lines):
        lines = (*lines, f"Content-Length: {len(body)}")
    head = read_request_head("\r\n".join([f"{first} HTTP/1.1", "Host: gateway", *lines]).encode())
    request = Request("call-1", head, address_of(head), datetime(2026, 11, 22, tzinfo=UTC), 0.0)
    if request.address.is_buffered:
        read_body(request, body)
    return request


def chat(body: bytes, *lines: str, target: str = "/openai/deployments/gpt/chat/completions?api-version=1") -> Request:
    return asked(f"POST {target}", "Content-Type: application/json", *lines, body=body)
