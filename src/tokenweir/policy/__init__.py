"""Who may do what: keys and the identities behind them. Pure decisions."""

from .access_tokens import TokenIdentity, token_identity
from .debug_tokens import DebugToken, DebugTokens
from .key_changes import (
    KeyNotValid,
    UnknownKey,
    add_key,
    moment_of_expiry,
    require_groups,
    resume_key,
    revoke_key,
    rotate_key,
    suspend_key,
)
from .keyring import ANONYMOUS, Keyring
from .keys_file import (
    KeysFile,
    KeyStore,
    StoredKey,
    decode_keys,
    digest_of,
    encode_keys,
    hash_key,
    read_keys,
    write_copy,
)
from .permissions import NameList, Permissions
from .settings import CallerSettings, EntraSettings, GroupSettings, Identity, TracingSettings, former_names
from .subjects import hashed_subject
from .token_verifier import TokenVerifier, VerifiedToken, is_token, signing_keys

__all__ = [
    "ANONYMOUS",
    "CallerSettings",
    "DebugToken",
    "DebugTokens",
    "EntraSettings",
    "GroupSettings",
    "Identity",
    "KeyNotValid",
    "KeyStore",
    "Keyring",
    "KeysFile",
    "NameList",
    "Permissions",
    "StoredKey",
    "TokenIdentity",
    "TokenVerifier",
    "TracingSettings",
    "UnknownKey",
    "VerifiedToken",
    "add_key",
    "decode_keys",
    "digest_of",
    "encode_keys",
    "former_names",
    "hash_key",
    "hashed_subject",
    "is_token",
    "moment_of_expiry",
    "read_keys",
    "require_groups",
    "resume_key",
    "revoke_key",
    "rotate_key",
    "signing_keys",
    "suspend_key",
    "write_copy",
    "token_identity",
]
