"""How many tokens an image is. Sizes are read from data URLs; a link is never fetched.

The rules are OpenAI's, checked against recorded calls where there were any: gpt-4o, gpt-4o-mini, gpt-4.1
mini and nano, o4-mini and gpt-5 are, the others are documents or measurements in forums. Tile models scale an
image into 2048 × 2048, then its short side to 768, and count tiles of 512; patch models count patches of
32, scaled down to a budget. The multipliers of gpt-5 mini and nano are those seen, not those documented.
"""

import base64
import math
import struct
from typing import Any, NamedTuple

from .counter import by_prefix

__all__ = ["image_size", "image_tokens"]


_SMALL_BUDGET = 1536


class Tiles(NamedTuple):
    base: int
    tile: int


class Patches(NamedTuple):
    multiplier: float
    budget: int = _SMALL_BUDGET


# The longest prefix of the model's name decides.
_RULES: dict[str, Tiles | Patches] = {
    "": Tiles(85, 170),
    "codex-mini": Patches(1.72),
    "computer-use": Tiles(65, 129),
    "gpt-4.1-mini": Patches(1.62),
    "gpt-4.1-nano": Patches(2.46),
    "gpt-4o-mini": Tiles(2833, 5667),
    "gpt-5": Tiles(70, 140),
    "gpt-5-mini": Patches(1.2),
    "gpt-5-nano": Patches(1.5),
    "gpt-5.2": Patches(1.2),
    "gpt-5.3": Patches(1.2),
    "gpt-5.4": Patches(1.2, 2500),
    "gpt-5.5": Patches(1.2, 2500),
    "gpt-5.6": Patches(1.2, 2500),
    "o1": Tiles(75, 150),
    "o3": Tiles(75, 150),
    "o4-mini": Patches(1.72),
}

# ``detail: original`` lets the newest models see more.
_ORIGINAL_BUDGET = 10_000

_FIT = 2048
_SHORT_SIDE = 768
_TILE = 512
_PATCH = 32

# No image has more tiles than this one.
_LARGEST = (_FIT, _SHORT_SIDE)

# Of a data URL. A JPEG may carry a preview and colour profiles of up to 64 KB each before it says its size.
_LONGEST_TYPE = 200
_HEAD = 256 * 1024


def image_tokens(image: Any, model: str | None) -> int:
    """Tokens of an ``image_url`` part's value for ``model``; the most it can be where the size is not known."""
    url, detail = (image.get("url"), image.get("detail")) if isinstance(image, dict) else (image, None)
    rule = by_prefix(_RULES, model)
    size = _size_of(url)
    if isinstance(rule, Tiles):
        return _tile_tokens(size, rule, detail == "low")
    return _patch_tokens(size, rule, detail == "original" and rule.budget > _SMALL_BUDGET)


def _tile_tokens(size: tuple[int, int] | None, rule: Tiles, low: bool) -> int:
    if low:
        return rule.base
    width, height = size or _LARGEST
    shrink = min(1.0, _FIT / max(width, height))
    shrink = min(shrink, _SHORT_SIDE / min(width, height))
    tiles = math.ceil(width * shrink / _TILE) * math.ceil(height * shrink / _TILE)
    return rule.base + rule.tile * tiles


def _patch_tokens(size: tuple[int, int] | None, rule: Patches, original: bool) -> int:
    budget = _ORIGINAL_BUDGET if original else rule.budget
    patches = budget if size is None else min(_patches(*size, budget), budget)
    # One more than the product, in every recorded call but four that need two more.
    return math.floor(patches * rule.multiplier) + 1


def _patches(width: float, height: float, budget: int) -> int:
    patches = math.ceil(width / _PATCH) * math.ceil(height / _PATCH)
    if patches <= budget:
        return patches
    # Shrunk to the budget's area, then a little more, so that the tighter side is a whole number of patches.
    shrink = math.sqrt(budget * _PATCH**2 / (width * height))
    across, down = width * shrink / _PATCH, height * shrink / _PATCH
    shrink = min(math.floor(across) / across, math.floor(down) / down)
    return math.ceil(across * shrink) * math.ceil(down * shrink)


def _size_of(url: Any) -> tuple[int, int] | None:
    if not isinstance(url, str) or not url.startswith("data:"):
        return None
    start = url.find(",", 0, _LONGEST_TYPE) + 1
    try:
        head = base64.b64decode(url[start : start + _HEAD] + "==")
    except ValueError:
        return None
    return image_size(head)


def image_size(data: bytes) -> tuple[int, int] | None:
    """Pixels as (width, height) of a PNG, JPEG, GIF or WebP; None if ``data`` does not say."""
    try:
        size = _stated_size(data)
    except (struct.error, IndexError):
        return None
    return size if size is not None and min(size) > 0 else None


def _stated_size(data: bytes) -> tuple[int, int] | None:
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return struct.unpack_from(">II", data, 16)
    if data.startswith((b"GIF87a", b"GIF89a")):
        return struct.unpack_from("<HH", data, 6)
    if data.startswith(b"\xff\xd8"):
        return _jpeg_size(data)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _webp_size(data)
    return None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """From the start-of-frame segment; those before it are skipped by their length (ITU T.81, annex B)."""
    at = 2
    while True:
        marker, length = struct.unpack_from(">HH", data, at)
        if 0xFFC0 <= marker <= 0xFFCF and marker not in (0xFFC4, 0xFFC8, 0xFFCC):
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        if marker < 0xFF00 or length < 2:
            return None
        at += 2 + length


def _webp_size(data: bytes) -> tuple[int, int] | None:
    """From the first chunk: lossy, lossless or extended (RFC 9649, 2.5 to 2.7)."""
    chunk = data[12:16]
    if chunk == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    if chunk == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8X":
        return _int24(data, 24) + 1, _int24(data, 27) + 1
    return None


def _int24(data: bytes, at: int) -> int:
    return data[at] | data[at + 1] << 8 | data[at + 2] << 16
