"""`tokenweir doctor` asks where keys and segments are kept that are not in the gateway's own files."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.clocks import JumpingClock
from support.entra import TENANT, serving_issuer
from support.journals import write_journal
from support.postgres import PostgresServer
from tokenweir.policy import add_key
from tokenweir.records import SystemClock
from tokenweir.serve.shared_keys import SharedKeys, open_shared_keys

Tokenweir = Callable[..., Any]


@pytest.fixture
def shared(postgres: PostgresServer, minimal: Path) -> Iterator[SharedKeys]:
    url = postgres.new_url()
    minimal.write_text(f'[server]\nshared_keys = "{url}"\n{minimal.read_text()}')
    store = open_shared_keys(url)
    assert store is not None
    yield store
    store.close()


def test_shared_keys_are_counted(tokenweir: Tokenweir, shared: SharedKeys) -> None:
    add_key(shared, "ada", {}, SystemClock())
    assert "has 1 that are valid and 0 that are revoked" in tokenweir("doctor").out


def test_shared_keys_that_are_away_are_said_with_what_follows(tokenweir: Tokenweir, minimal: Path) -> None:
    text = minimal.read_text()
    minimal.write_text(f'[server]\nshared_keys = "postgresql://tokenweir:sesame@127.0.0.1:9/x"\n{text}')
    ran = tokenweir("doctor")
    assert "keys: the shared keys in postgresql://127.0.0.1:9/x do not answer" in ran.out
    assert "relays go on with the keys as they were read last" in ran.out
    assert "sesame" not in ran.out


def test_an_archive_is_looked_into(tokenweir: Tokenweir, minimal: Path) -> None:
    write_journal(Path("kept/host/relay-0"), [])
    Path("kept/host/relay-0/00000000000000000001.twj").touch()
    minimal.write_text(f'[journal]\narchive = "kept"\n{minimal.read_text()}')
    assert "archive: kept holds 1 segments" in tokenweir("doctor").out


def test_the_keys_of_a_tenant_are_asked_for(tokenweir: Tokenweir, minimal: Path) -> None:
    with serving_issuer(JumpingClock()) as issuer:
        url = f"http://127.0.0.1:{issuer.port}/{{tenant}}/keys"
        settings = f'tenants = ["{TENANT}"]\naudiences = ["api://a"]\nkeys_url = "{url}"\n'
        minimal.write_text(f"[entra]\n{settings}{minimal.read_text()}")
        assert f"entra: tenant {TENANT} has 1 signing keys" in tokenweir("doctor").out
        issuer.is_ill = True
        ran = tokenweir("doctor")
    assert f"entra: no keys of tenant {TENANT}" in ran.out and "it answered 503" in ran.out
