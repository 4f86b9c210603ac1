"""The file to start with asks for a resource and nothing else, and its commented parts work when uncommented."""

import re
from importlib.resources import files
from pathlib import Path

import pytest
import trustme

from tokenweir.config import InvalidConfig, load
from tokenweir.delivery.sinks import FileConnection

EXAMPLE = files("tokenweir.config").joinpath("example.toml").read_text("utf-8")
EDITED = EXAMPLE.replace("<your-resource>", "sweden")


def test_the_example_names_no_resource_that_might_be_somebodys() -> None:
    Path("tokenweir.toml").write_text(EXAMPLE)
    with pytest.raises(InvalidConfig) as refused:
        load(None, {"AZURE_OPENAI_KEY": "k"})
    assert refused.value.problems == [
        (
            'tokenweir.toml: [[upstreams]] "sweden" endpoint: still has a <placeholder> in it; '
            "put the name of your Azure OpenAI resource there"
        )
    ]


def test_with_a_resource_the_example_is_a_good_configuration() -> None:
    Path("tokenweir.toml").write_text(EDITED)
    assert load(None, {"AZURE_OPENAI_KEY": "k"}).config.upstreams[0].name == "sweden"


def test_what_is_commented_out_is_right_too() -> None:
    """Lines that hold a setting, or part of a list, behind one ``#``."""
    text = re.sub(r"^# (?=\[\[|\[\w+\]|\w+ = |\]|  \{)", "", EDITED, flags=re.MULTILINE).replace('"france"', '"sweden"')
    Path("tls").mkdir()
    issued = trustme.CA().issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path("tls/cert.pem")
    issued.private_key_pem.write_to_path("tls/key.pem")
    Path("tokenweir.toml").write_text(text)
    config = load(None, {"AZURE_OPENAI_KEY": "k"}).config
    assert len(config.deployments[0].targets) == 2
    connection = config.sinks[0].connection
    assert isinstance(connection, FileConnection) and connection.path == "tokenweir-data/calls.jsonl"
    assert [row.model for row in config.prices] == ["gpt-4o-2024*", "text-embedding-3-large"]
    assert config.pricing.list == "azure"
    assert config.callers[0].tags == {"cost_centre": "4711"}
    assert config.server.certificate == "tls/cert.pem"
    assert config.tracing.sample == 0.01
