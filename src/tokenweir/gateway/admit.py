"""Whose call this is, and whether it may go on."""

from msgspec.structs import replace

from ..errors import JournalUnavailable, ShuttingDown
from ..policy import Keyring, token_identity
from ..wire import CALLER_KEYS
from .request import Admission, Request

__all__ = ["admit", "identify"]


def identify(request: Request, keyring: Keyring, *, trusts_platform: bool = False) -> Admission:
    """Whose call this is. Raises ``InvalidApiKey``.

    ``trusts_platform``: a platform in front has authenticated, and nobody can come past it. Whom it names is the
    call's subject, and where no caller has a key, the caller. Else the subject is whom a token of Entra names, which is
    believed for reports and for nothing else.
    """
    key = _key_of(request)
    identity = keyring.identify(key)
    subject = request.address.principal if trusts_platform else None
    if subject is not None and keyring.is_open:
        identity = replace(identity, caller=subject)
    token = token_identity(_bearer(request.head.fields.get(b"authorization")) or b"")
    if token is None:
        return Admission(identity, key, subject, None, "platform" if subject is not None else None)
    source = "platform" if subject is not None else "token"
    return Admission(identity, key, subject or token.user, token.application, source)


def admit(*, journal_accepts: bool, stopping: bool) -> None:
    """Whether anything is let through at present. Raises ``JournalUnavailable`` or ``ShuttingDown``."""
    if stopping:
        raise ShuttingDown("This gateway is shutting down; send the request again.")
    if not journal_accepts:
        raise JournalUnavailable(
            "This gateway cannot keep the records of calls (see its log; often a full disk), "
            "and lets nothing through that it could not account for. Try again shortly."
        )


def _key_of(request: Request) -> bytes | None:
    fields = request.head.fields
    for name in CALLER_KEYS:
        key = fields.get(name)
        if name == b"authorization":
            key = _bearer(key)
        if key:
            return key
    return request.address.query_key


def _bearer(value: bytes | None) -> bytes | None:
    return value[7:].strip() if value and value[:7].lower() == b"bearer " else None
