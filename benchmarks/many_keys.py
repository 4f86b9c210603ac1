"""What many keys, groups and tokens cost: `python -m benchmarks.many_keys`.

A keys file is written and read, a keyring is made of it, and keys and tokens are looked up. Times are of the processor.
"""

import argparse
import json
import secrets
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from tokenweir.build import running_build
from tokenweir.policy import (
    EntraSettings,
    GroupSettings,
    Keyring,
    StoredKey,
    TokenVerifier,
    VerifiedToken,
    encode_keys,
    signing_keys,
)
from tokenweir.records import SystemClock
from tokenweir.serve.keys_watch import KeysWatch

_TENANT = "11111111-2222-3333-4444-555555555555"
_NOW = datetime.now(UTC)


def _took(do: Callable[[], object], times: int = 1) -> float:
    """Seconds of the processor, for each of ``times``; the best of three."""
    best = float("inf")
    for _ in range(3):
        began = time.process_time()
        for _ in range(times):
            do()
        best = min(best, time.process_time() - began)
    return best / times


def _keys(count: int, groups: int) -> None:
    names = [b"tw-" + secrets.token_urlsafe(32).encode() for _ in range(count)]
    stored = [
        StoredKey(
            f"key_{number:08x}",
            f"team-{number % (count // 5 + 1)}",
            sha256(name).hexdigest(),
            _NOW,
            tags={"cost_centre": str(number % 99)},
            groups=[f"group-{number % groups}"],
        )
        for number, name in enumerate(names)
    ]
    tables = [GroupSettings(f"group-{number}", {}, [f"gpt-{number}", "gpt-4o*"]) for number in range(groups)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "keys.json"
        path.write_bytes(encode_keys(stored))
        print(f"- {count:,} keys in {groups:,} groups: a file of {path.stat().st_size / 1e6:.0f} MB")
        print(f"- read at a start: {_took(lambda: KeysWatch(path, SystemClock())) * 1e3:,.0f} ms")
    print(f"- a keyring of it: {_took(lambda: Keyring([], stored, tables)) * 1e3:,.0f} ms")
    ring = Keyring([], stored, tables)
    drawn = [names[secrets.randbelow(count)] for _ in range(100_000)]

    def look_up() -> None:
        for name in drawn:
            ring.identify(name, _NOW)

    print(f"- a key looked up: {_took(look_up) / len(drawn) * 1e6:.2f} µs")
    print(
        f"- of which its SHA-256: {_took(lambda: [sha256(name).digest() for name in drawn]) / len(drawn) * 1e6:.2f} µs"
    )


def _tokens() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    listed = {**jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": "k"}
    verifier = TokenVerifier(EntraSettings([_TENANT], ["api://tokenweir"]))
    keys = signing_keys(json.dumps({"keys": [listed]}).encode())
    claims = {
        "iss": f"https://login.microsoftonline.com/{_TENANT}/v2.0",
        "aud": "api://tokenweir",
        "azp": "app",
        "exp": int(_NOW.timestamp()) + 3600,
        "groups": [f"{number:036}" for number in range(20)],
    }
    token = jwt.encode(claims, key, "RS256", {"kid": "k"}).encode()

    def anew() -> VerifiedToken:
        verifier.take_keys(_TENANT, {}, 0.0)
        verifier.take_keys(_TENANT, keys, _NOW.timestamp())
        return verifier.verify(token, _NOW)

    print(f"- a token of {len(token):,} bytes, seen for the first time: {_took(anew, 2000) * 1e6:.0f} µs")
    print(f"- again: {_took(lambda: verifier.verify(token, _NOW), 100_000) * 1e6:.2f} µs")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=100_000)
    parser.add_argument("--groups", type=int, default=10_000)
    given = parser.parse_args()
    print(f"- {running_build()}")
    _keys(given.keys, given.groups)
    _tokens()


if __name__ == "__main__":
    main()
