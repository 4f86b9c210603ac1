"""Images: the rules with the sizes of recorded calls and of OpenAI's documents, and sizes from files."""

import base64
import struct
import zlib
from typing import Any

import pytest
from hypothesis import given, strategies as st

from tokenweir.metering.images import image_size, image_tokens


def png(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


def jpeg(width: int, height: int, preview: int = 0) -> bytes:
    exif = b"\xff\xe1" + struct.pack(">H", preview + 2) + bytes(preview)
    frame = b"\xff\xc2" + struct.pack(">HBHHB", 17, 8, height, width, 3) + bytes(9)
    return b"\xff\xd8" + exif + frame


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + b"\xf7\0\0"


def webp(width: int, height: int, kind: bytes) -> bytes:
    if kind == b"VP8 ":
        body = b"\x50\x31\x01\x9d\x01\x2a" + struct.pack("<HH", width, height)
    elif kind == b"VP8L":
        body = b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14)
    else:
        body = bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", 100) + b"WEBP" + kind + struct.pack("<I", len(body)) + body


def part(data: bytes, detail: str | None = None) -> dict[str, Any]:
    url = "data:image/any;base64," + base64.b64encode(data).decode()
    return {"url": url} | ({"detail": detail} if detail else {})


@pytest.mark.parametrize("size", [(1, 1), (640, 480), (300, 346), (4096, 8192), (16383, 2)])
def test_size_is_read_from_every_format(size: tuple[int, int]) -> None:
    assert image_size(png(*size)) == size
    assert image_size(jpeg(*size)) == image_size(jpeg(*size, preview=60_000)) == size
    assert image_size(gif(*size)) == size
    for kind in (b"VP8 ", b"VP8L", b"VP8X"):
        assert image_size(webp(*size, kind)) == size


@given(st.binary(max_size=60), st.sampled_from([b"", png(9, 9)[:14], b"\xff\xd8\xff", b"GIF89a", b"RIFF....WEBPVP8 "]))
def test_any_bytes_have_a_size_or_none(data: bytes, start: bytes) -> None:
    size = image_size(start + data)
    assert size is None or min(size) > 0


@pytest.mark.parametrize(
    ("model", "size", "detail", "tokens"),
    [
        ("gpt-4o", (1024, 1024), "high", 765),
        ("gpt-4o", (2048, 4096), "high", 1105),
        ("gpt-4o", (4096, 8192), "low", 85),
        ("gpt-4o", (300, 346), None, 255),
        ("gpt-4o-mini", (640, 480), "auto", 2833 + 2 * 5667),
        ("gpt-4-turbo", (512, 512), "high", 255),
        ("gpt-5", (640, 480), "high", 70 + 2 * 140),
        ("o1", (640, 480), "high", 75 + 2 * 150),
        ("our-own-model", (640, 480), "high", 85 + 2 * 170),
        ("o4-mini", (640, 480), None, 517),
        ("gpt-5-mini", (640, 480), None, 361),
        ("gpt-5-nano", (640, 480), None, 451),
        ("gpt-4.1-mini", (300, 346), "high", 179),
        ("gpt-4.1-mini", (300, 346), "low", 179),
        ("gpt-4.1-nano", (300, 346), "high", 271),
        ("gpt-4.1-mini", (1800, 2400), "high", 2353),  # OpenAI's own example: 1,452 patches, scaled down
        ("gpt-5.4", (8000, 8000), "high", 3001),
        ("gpt-5.4", (8000, 8000), "original", 12001),
        ("gpt-5-mini", (8000, 8000), "original", 1826),
    ],
)
def test_an_image_costs_what_its_size_says(model: str, size: tuple[int, int], detail: str | None, tokens: int) -> None:
    assert image_tokens(part(png(*size), detail), model) == tokens


@pytest.mark.parametrize(
    "image",
    [
        {"url": "https://example.com/a.png"},
        "https://example.com/a.png",
        {"url": "data:image/png;base64,%%%"},
        {"url": "data:image/png;base64,é"},
        part(b"\xff\xd8\x00\x00\x00\x00"),
        part(b"RIFF....WEBPALPH"),
        {"url": "data:image/png;base64,aGVsbG8="},
        part(png(0, 480)),
        {"url": "data:no comma at all" + "x" * 500},
        {"url": None},
        {},
        None,
    ],
)
@pytest.mark.parametrize(("model", "most"), [("gpt-4o", 85 + 8 * 170), ("gpt-4.1-mini", 2489), (None, 1445)])
def test_an_image_of_unknown_size_costs_the_most_it_can(image: Any, model: str | None, most: int) -> None:
    assert image_tokens(image, model) == most


@given(st.integers(1, 70_000), st.integers(1, 70_000), st.sampled_from(["gpt-4o", "gpt-4.1-mini", "gpt-5.5"]))
def test_no_image_costs_more_than_one_of_unknown_size(width: int, height: int, model: str) -> None:
    assert 0 < image_tokens(part(png(width, height)), model) <= image_tokens(None, model)
