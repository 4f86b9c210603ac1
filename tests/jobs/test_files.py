"""Files pass unchanged and are not held, whatever their size; their records say how many bytes, and which file."""

import hashlib
import resource
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest
from openai import OpenAI

from support.relay_thread import KEY, RelayThread, running_relay
from support.scripted import Line, scripted
from tokenweir.records import Size, Usage

MEGABYTES = 192
PIECE = bytes(range(256)) * 4096  # a megabyte


def test_a_file_goes_up_and_comes_down_and_goes(client: OpenAI, relay: RelayThread) -> None:
    content = b'{"custom_id": "1"}\n' * 1000
    made = client.files.create(file=("a.jsonl", content), purpose="batch")
    assert client.files.retrieve(made.id).bytes == len(content)
    assert client.files.content(made.id).read() == content
    assert made.id in [file.id for file in client.files.list()]
    assert client.files.delete(made.id).deleted
    records = relay.records(5)
    assert [(record.api, record.operation) for record in records] == [("other", "files")] * 5
    assert [record.usage for record in records] == [Usage()] * 5
    assert records[0].response_id == made.id
    assert records[0].bytes_in > len(content) == records[2].bytes_out
    assert [record.path for record in records[1:3]] == [
        f"/openai/v1/files/{made.id}{tail}" for tail in ("", "/content")
    ]


@pytest.fixture
def mirror() -> Iterator[str]:
    """Answers an upload with its digest, and a download with a file of that size."""

    def play(line: Line) -> None:
        head = line.read_head()
        if head.startswith(b"get "):
            line.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (MEGABYTES * len(PIECE)))
            for _ in range(MEGABYTES):
                line.send(PIECE)
            return
        digest = hashlib.sha256()
        for _ in range(MEGABYTES):
            digest.update(line.read(len(PIECE)))
        body = b'{"id":"file-1","object":"file","filename":"%b"}' % digest.hexdigest().encode()
        line.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body)

    with scripted(play) as upstream:
        yield upstream.url


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_of_a_large_file_only_pieces_are_held(mirror: str, tmp_path: Path, method: str) -> None:
    digest = hashlib.sha256()
    for _ in range(MEGABYTES):
        digest.update(PIECE)
    with running_relay(tmp_path, mirror, server={"max_upload": Size(1 << 30)}) as relay:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        connection = HTTPConnection(*relay.address)
        headers = {"api-key": KEY, "content-type": "multipart/form-data; boundary=x"}
        if method == "POST":
            length = {"content-length": str(MEGABYTES * len(PIECE))}
            connection.request("POST", "/openai/v1/files", (PIECE for _ in range(MEGABYTES)), headers | length)
            assert digest.hexdigest().encode() in connection.getresponse().read()
        else:
            connection.request("GET", "/openai/v1/files/file-1/content", None, headers)
            answer, came = connection.getresponse(), hashlib.sha256()
            while piece := answer.read(1 << 20):
                came.update(piece)
            assert came.digest() == digest.digest()
        connection.close()
        record = relay.record()
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert (record.bytes_in if method == "POST" else record.bytes_out) == MEGABYTES * len(PIECE)
    assert record.response_id == ("file-1" if method == "POST" else None)
    assert grown < 64 * 1024  # KB; client, relay and upstream are all in this process
