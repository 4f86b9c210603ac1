"""Pieces of an upstream's stream, for upstreams that are played."""

__all__ = ["DONE", "LAST_CHUNK", "STREAM_HEAD", "USAGE", "answer", "chunked", "frame"]

STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
USAGE = (
    b'data: {"id":"a","model":"gpt-4o","choices":[],'
    b'"usage":{"prompt_tokens":7,"completion_tokens":9,"total_tokens":16}}\n\n'
)
DONE = b"data: [DONE]\n\n"
LAST_CHUNK = b"0\r\n\r\n"


def frame(text: str) -> bytes:
    """A chunk of a chat's stream; ``text`` needs no escaping."""
    return b'data: {"id":"a","model":"gpt-4o","choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % text.encode()


def chunked(*events: bytes) -> bytes:
    """Each in an HTTP chunk of its own."""
    return b"".join(b"%x\r\n%b\r\n" % (len(event), event) for event in events)


def answer(body: bytes, *lines: str, status: str = "200 OK") -> bytes:
    """A whole JSON answer."""
    head = [f"HTTP/1.1 {status}", "content-type: application/json", f"content-length: {len(body)}", *lines, "", ""]
    return "\r\n".join(head).encode() + body
