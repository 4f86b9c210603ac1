"""Who may do what: keys and the identities behind them. Pure decisions."""

from .keyring import ANONYMOUS, Identity, Keyring
from .keys_file import StoredKey, add_key, hash_key, read_keys, revoke_key
from .settings import CallerSettings

__all__ = [
    "ANONYMOUS",
    "CallerSettings",
    "Identity",
    "Keyring",
    "StoredKey",
    "add_key",
    "hash_key",
    "read_keys",
    "revoke_key",
]
