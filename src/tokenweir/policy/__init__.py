"""Who may do what: keys and the identities behind them. Pure decisions."""

from .access_tokens import TokenIdentity, token_identity
from .debug_tokens import DebugToken, DebugTokens
from .keyring import ANONYMOUS, Keyring
from .keys_file import (
    KeysFile,
    KeyStore,
    StoredKey,
    UnknownKey,
    add_key,
    decode_keys,
    digest_of,
    encode_keys,
    hash_key,
    read_keys,
    revoke_key,
    write_copy,
)
from .permissions import NameList, Permissions
from .settings import CallerSettings, GroupSettings, Identity, TracingSettings, former_names
from .subjects import hashed_subject

__all__ = [
    "ANONYMOUS",
    "CallerSettings",
    "DebugToken",
    "DebugTokens",
    "GroupSettings",
    "Identity",
    "KeyStore",
    "Keyring",
    "KeysFile",
    "NameList",
    "Permissions",
    "StoredKey",
    "TokenIdentity",
    "TracingSettings",
    "UnknownKey",
    "add_key",
    "decode_keys",
    "digest_of",
    "encode_keys",
    "former_names",
    "hash_key",
    "hashed_subject",
    "read_keys",
    "revoke_key",
    "write_copy",
    "token_identity",
]
