"""Step 2, admit: whose call this is, and whether it may go on."""

from ..errors import JournalUnavailable, ShuttingDown
from ..policy import Keyring
from .request import Admission, Request

__all__ = ["admit", "identify"]


def identify(request: Request, keyring: Keyring) -> Admission:
    """Whose call this is. Raises ``InvalidApiKey``."""
    key = _key_of(request)
    return Admission(keyring.identify(key), key)


def admit(*, journal_accepts: bool, stopping: bool) -> None:
    """Whether anything is let through at present. Raises ``JournalUnavailable`` or ``ShuttingDown``."""
    if stopping:
        raise ShuttingDown("This gateway is shutting down; send the request again.")
    if not journal_accepts:
        raise JournalUnavailable(
            "This gateway cannot write its journal (see its log; often a full disk), "
            "and lets nothing through that it could not account for. Try again shortly."
        )


def _key_of(request: Request) -> bytes | None:
    fields = request.head.fields
    key = fields.get(b"api-key") or fields.get(b"ocp-apim-subscription-key")
    if key:
        return key
    bearer = fields.get(b"authorization")
    if bearer and bearer[:7].lower() == b"bearer ":
        return bearer[7:].strip()
    return request.address.query_key
