"""The vocabulary files in this package, proved by SHA-256, and the encodings built from them.

tiktoken fetches a vocabulary over the network at first use and keeps it in a cache of its own. Here it is
given the file instead, so it opens neither. Patterns and special tokens are those of
``tiktoken_ext/openai_public.py``; so are the sums of the unpacked files.
"""

import base64
import gzip
import hashlib
from importlib.resources import files
from importlib.resources.abc import Traversable
from threading import Lock

import msgspec
import tiktoken

from ..errors import ConfigError, quoted

__all__ = ["ENCODINGS", "SHIPPED", "Vocabulary", "load", "verify"]


class Vocabulary(msgspec.Struct, frozen=True):
    """What tiktoken has to be told about one encoding, and how its file is recognised."""

    packed_sha256: str
    sha256: str
    """Of the unpacked file, as ``openai_public.py`` expects it."""
    pattern: str
    special_tokens: dict[str, int]


SHIPPED = {
    "cl100k_base": Vocabulary(
        packed_sha256="75d741412e741c034a4096a314e4d9dcd65ae3567db82a97ceecc4fe2cbadd78",
        sha256="223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
        pattern=(
            r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
            r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
        ),
        special_tokens={
            "<|endoftext|>": 100257,
            "<|fim_prefix|>": 100258,
            "<|fim_middle|>": 100259,
            "<|fim_suffix|>": 100260,
            "<|endofprompt|>": 100276,
        },
    ),
    "o200k_base": Vocabulary(
        packed_sha256="a487b278b404d9652a066d42ddd5fe3389cc5bf241aa0dece608a51433a7c1e2",
        sha256="446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
        pattern=(
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
            r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
            r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        ),
        special_tokens={"<|endoftext|>": 199999, "<|endofprompt|>": 200018},
    ),
}

ENCODINGS = tuple(SHIPPED)

_loaded: dict[str, tiktoken.Encoding] = {}
_loading = Lock()


def verify() -> None:
    """Prove every shipped file. Raises ConfigError naming the file that is missing or altered."""
    for name in SHIPPED:
        _packed(name)


def load(name: str) -> tiktoken.Encoding:
    """The encoding of that name, built once per process (about a fifth of a second) and shared by threads.

    Proves its file as ``verify`` does, and what is in it.
    """
    encoding = _loaded.get(name)
    if encoding is None:
        with _loading:
            encoding = _loaded.get(name) or _loaded.setdefault(name, _build(name))
    return encoding


def _build(name: str) -> tiktoken.Encoding:
    if name not in SHIPPED:
        raise ConfigError(f"No encoding {quoted(name)} is shipped; there is {' and '.join(SHIPPED)}.")
    lines = _unpacked(name).splitlines()
    ranks = {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in lines)}
    vocabulary = SHIPPED[name]
    return tiktoken.Encoding(
        name,
        pat_str=vocabulary.pattern,
        mergeable_ranks=ranks,
        special_tokens=vocabulary.special_tokens,
    )


def _unpacked(name: str) -> bytes:
    unpacked = gzip.decompress(_packed(name))
    _prove(unpacked, SHIPPED[name].sha256, f"{_file(name)}, unpacked,")
    return unpacked


def _packed(name: str) -> bytes:
    file = _file(name)
    try:
        packed = file.read_bytes()
    except OSError as error:
        raise ConfigError(f"The vocabulary {file} cannot be read ({error}). Install tokenweir again.") from error
    _prove(packed, SHIPPED[name].packed_sha256, str(file))
    return packed


def _file(name: str) -> Traversable:
    return files(__package__) / "data" / f"{name}.tiktoken.gz"


def _prove(data: bytes, expected: str, what: str) -> None:
    found = hashlib.sha256(data).hexdigest()
    if found != expected:
        raise ConfigError(
            f"The vocabulary {what} is not the one published: its SHA-256 is {found}, not {expected}. "
            "Install tokenweir again."
        )
