"""Compressed answers: the formats, their odd forms, and what cannot be read."""

import gzip
import json
import zlib
from collections.abc import Callable

import pytest

from tokenweir.apis import surface_of
from tokenweir.metering import Measurement, meter_for
from tokenweir.metering.inflate import InflatingMeter
from tokenweir.metering.stream import StreamMeter

Read = Callable[..., Measurement]

USAGE = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}
BODY = json.dumps({"id": "chatcmpl-1", "model": "gpt-4o", "choices": [], "usage": USAGE}).encode()
STREAM = b"data: " + BODY + b"\n\ndata: [DONE]\n\n"


def bare_deflate(raw: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflater.compress(raw) + deflater.flush()


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", gzip.compress),
        (" GZip ", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", bare_deflate),
        ("identity", bytes),
        ("", bytes),
    ],
)
@pytest.mark.parametrize("size", [1, 1_000])
def test_every_usual_encoding_is_unpacked(read: Read, name: str, pack: Callable[[bytes], bytes], size: int) -> None:
    packed = pack(BODY)
    pieces = [packed[at : at + size] for at in range(0, len(packed), size)]
    reading = read(*pieces, event_stream=False, content_encoding=name, keep_content=True)
    assert reading.usage is not None
    assert reading.usage.raw == USAGE
    assert reading.content == BODY.decode()
    assert reading.done
    assert reading.unreadable is None


def test_a_gzip_file_may_have_several_members(read: Read) -> None:
    packed = b"".join(gzip.compress(STREAM[at : at + 40], mtime=0) for at in range(0, len(STREAM), 40))
    reading = read(packed, content_encoding="gzip")
    assert reading.usage is not None
    assert reading.done


def test_first_output_of_a_compressed_stream_is_timed() -> None:
    meter = meter_for(
        surface_of("chat_completions"),
        event_stream=True,
        content_encoding="gzip",
        keep_content=False,
        monotonic=lambda: 42.0,
    )
    packer = zlib.compressobj(wbits=31)
    meter.feed(packer.compress(b'data: {"choices":[]}\n\n') + packer.flush(zlib.Z_SYNC_FLUSH))
    assert meter.first_token_at is None
    frame = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
    meter.feed(packer.compress(frame) + packer.flush(zlib.Z_SYNC_FLUSH))
    assert meter.first_token_at == 42.0


@pytest.mark.parametrize("missing", range(1, 20))
@pytest.mark.parametrize("size", [65_700, 70_000])
def test_a_broken_off_body_is_read_as_far_as_it_goes(read: Read, size: int, missing: int) -> None:
    packed = gzip.compress(b"a" * size, mtime=0)[:-missing]
    reading = read(packed, content_encoding="gzip", keep_content=True)
    assert reading.content == zlib.decompressobj(wbits=31).decompress(packed).decode()
    assert not reading.done


@pytest.mark.parametrize("name", ["gzip", "deflate"])
def test_what_is_not_packed_as_said_is_not_read(read: Read, name: str) -> None:
    reading = read(STREAM[:9], STREAM[9:], content_encoding=name)
    assert reading.usage is None
    assert reading.unreadable is not None
    assert reading.unreadable.startswith(f"the {name} body could not be unpacked")


@pytest.mark.parametrize("name", ["br", "zstd", "gzip, gzip", "x" * 1_000])
def test_an_unknown_encoding_is_named_and_not_kept(read: Read, name: str) -> None:
    reading = read(STREAM, content_encoding=name, keep_content=True)
    assert (reading.usage, reading.content) == (None, None)
    assert reading.unreadable == f"content-encoding {name[:40]!r} is not read"


def test_a_bomb_does_not_fill_the_memory() -> None:
    stream = StreamMeter(surface_of("chat_completions"), keep_content=False, monotonic=lambda: 0.0)
    meter = InflatingMeter(stream, "gzip")
    frame = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
    packed = gzip.compress(frame * 50_000, mtime=0)
    assert len(packed) < 20_000 < len(frame) * 50_000
    meter.feed(packed)
    assert sum(len(piece) for piece in stream._pieces) < 140_000
    assert meter.finish().chunks == 50_000
