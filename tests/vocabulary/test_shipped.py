"""The vocabulary files are the published ones, and the encodings built from them are tiktoken's."""

import base64
import gzip
import threading
from importlib.resources import files
from pathlib import Path

import pytest
import tiktoken
import tiktoken.load
import tiktoken_ext.openai_public  # type: ignore[import-untyped]

from tokenweir import vocabulary
from tokenweir.errors import ConfigError
from tokenweir.vocabulary import shipped


def test_shipped_files_are_whole() -> None:
    vocabulary.verify()


def test_licence_is_shipped_beside_them() -> None:
    licence = files(vocabulary) / "data" / "LICENSE-tiktoken"
    assert "Copyright (c) 2022 OpenAI, Shantanu Jain" in licence.read_text()


@pytest.mark.parametrize("name", ["cl100k_base", "o200k_base"])
def test_encoding_is_the_one_tiktoken_would_build(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its constructor is run with our file in place of the download, and everything compared."""
    packed = (files(vocabulary) / "data" / f"{name}.tiktoken.gz").read_bytes()
    asked_for: list[str] = []

    def load_shipped(url: str, expected_hash: str) -> dict[bytes, int]:
        asked_for.append(expected_hash)
        lines = (line.split() for line in gzip.decompress(packed).splitlines())
        return {base64.b64decode(token): int(rank) for token, rank in lines}

    monkeypatch.setattr(tiktoken_ext.openai_public, "load_tiktoken_bpe", load_shipped)
    arguments = getattr(tiktoken_ext.openai_public, name)()
    encoding = vocabulary.load(name)
    assert asked_for == [shipped.SHIPPED[name].sha256]
    assert encoding._pat_str == arguments["pat_str"]
    assert encoding._special_tokens == arguments["special_tokens"]
    assert encoding._mergeable_ranks == arguments["mergeable_ranks"]
    assert encoding.name == arguments["name"]


def test_loading_opens_neither_network_nor_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> bytes:
        raise AssertionError("tiktoken wanted a file of its own")

    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(tiktoken.load, "read_file", refuse)
    monkeypatch.delitem(shipped._loaded, "o200k_base", raising=False)
    assert vocabulary.load("o200k_base").decode([24912, 2375]) == "hello world"
    assert list(tmp_path.iterdir()) == []


def test_unknown_encoding_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="p50k_base"):
        vocabulary.load("p50k_base")


def test_threads_share_one_encoding() -> None:
    shipped._loaded.pop("cl100k_base", None)
    found: list[tiktoken.Encoding] = []
    threads = [threading.Thread(target=lambda: found.append(vocabulary.load("cl100k_base"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len({id(encoding) for encoding in found}) == 1


def test_altered_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    for name in shipped.SHIPPED:
        (tmp_path / "data" / f"{name}.tiktoken.gz").write_bytes(gzip.compress(b"aGVsbG8= 0\n", mtime=0))
    monkeypatch.setattr(shipped, "files", lambda package: tmp_path)
    with pytest.raises(ConfigError, match=r"cl100k_base\.tiktoken\.gz is not the one published"):
        vocabulary.verify()


def test_missing_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "files", lambda package: tmp_path)
    with pytest.raises(ConfigError, match=r"cl100k_base\.tiktoken\.gz cannot be read"):
        vocabulary.verify()
