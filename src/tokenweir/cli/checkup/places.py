"""Whether the places answer that a gateway's keys and segments go to, where they are not in its own files."""

import http.client
from collections.abc import Iterator

from ...config import Config
from ...delivery.segment_blobs import open_archive
from ...errors import TokenweirError
from ...policy import read_keys
from ...proxies import NoConnection
from ...serve.shared_keys import open_shared_keys
from ...serve.token_keys import fetch_keys
from .check_result import CheckResult, bad, fine

__all__ = ["check_archive", "check_shared_keys", "check_token_keys"]


def check_archive(config: Config) -> Iterator[CheckResult]:
    place = config.journal.archive
    if place is None:
        return
    try:
        count = sum(1 for _ in open_archive(place).names())
    except (TokenweirError, OSError) as error:
        fix = "put it right, or change [journal] archive; segments stay in the journal meanwhile"
        yield bad(f"archive: {error}", fix)
    else:
        yield fine(f"archive: {place} holds {count:,} segments")


def check_shared_keys(config: Config) -> Iterator[CheckResult]:
    """Asked from here; what the relays have of it, `tokenweir keys list` says."""
    if config.server.shared_keys is None:
        return
    try:
        store = open_shared_keys(config.server.shared_keys)
        assert store is not None
        try:
            keys = read_keys(store)
        finally:
            store.close()
    except TokenweirError as error:
        fix = "start it, or correct [server] shared_keys; relays go on with the keys as they were read last"
        yield bad(f"keys: {error}", fix)
    else:
        valid = sum(not key.is_revoked for key in keys)
        yield fine(f"keys: {store.where} has {valid:,} that are valid and {len(keys) - valid:,} that are revoked")


def check_token_keys(config: Config) -> Iterator[CheckResult]:
    """Whether the keys with which tokens are signed can be fetched from here."""
    for tenant in config.entra.tenants:
        url = config.entra.keys_url.replace("{tenant}", tenant)
        try:
            keys = fetch_keys(url, config.entra.ca_bundle)
        except (NoConnection, TokenweirError, OSError, http.client.HTTPException, ValueError) as error:
            fix = "let this network reach it, or correct [entra] tenants or keys_url; tokens cannot be checked without"
            yield bad(f"entra: no keys of tenant {tenant} from {url}: {error}", fix)
        else:
            yield fine(f"entra: tenant {tenant} has {len(keys)} signing keys")
