"""Step 2, admit: whose call this is, and whether it may go on."""

from ..errors import JournalUnavailable, Refusal, ShuttingDown
from ..policy import Keyring
from .request import Admission, Request

__all__ = ["identify", "not_now"]


def identify(request: Request, keyring: Keyring) -> Admission:
    """Whose call this is. Raises ``InvalidApiKey``."""
    key = _key_of(request)
    return Admission(keyring.identify(key), key)


def not_now(*, stopping: bool) -> Refusal:
    """Why nothing is let through at present: ``ShuttingDown``, or ``JournalUnavailable``."""
    if stopping:
        return ShuttingDown("This gateway is shutting down; send the request again.")
    return JournalUnavailable(
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
