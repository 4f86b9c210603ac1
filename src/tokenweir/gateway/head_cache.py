"""What the requests of one connection have in common, worked out once.

A client program sends the same head again and again, all but its length. Then its address, its caller
and the head that goes upstream are the same again too, until the configuration changes.
"""

from datetime import datetime

from ..deployments import Target
from ..policy import Keyring
from ..upstream import Upstream
from ..wire import Fields, RequestHead
from .accept import address_of
from .admit import identify
from .own_names import OwnNames
from .record_builder import SharedFields
from .request import Address, Admission, Request
from .upstream_request import upstream_head

__all__ = ["HeadCache"]


class HeadCache:
    """Per-connection cache of what was derived from the latest request head."""

    def __init__(self) -> None:
        self._fields: Fields | None = None
        self._address: Address | None = None
        self._keyring: Keyring | None = None
        self._admission: Admission | None = None
        self._valid_until: datetime | None = None
        self._target: Target | None = None
        self._upstream: Upstream | None = None
        self._signature: bytes | None = None
        self._upstream_head = b""
        self._shared_by: tuple[object, ...] = ()
        self._shared: SharedFields | None = None

    def address(self, head: RequestHead) -> Address:
        """Raises as ``address_of`` does."""
        if head.fields is not self._fields or self._address is None:
            self._keyring = self._target = None
            self._address = address_of(head)
            self._fields = head.fields
        return self._address

    def admission(
        self, request: Request, keyring: Keyring, own_names: OwnNames | None, *, trusts_platform: bool
    ) -> Admission:
        """Raises as ``identify`` does, or ``NotOurName``."""
        if keyring is not self._keyring or self._admission is None or self._has_expired(request):
            self._target = None
            if keyring.is_open and own_names is not None:
                own_names.check(request.head.fields)
            self._admission = identify(request, keyring, trusts_platform=trusts_platform)
            self._valid_until = self._admission.identity.valid_until
            self._keyring = keyring
        return self._admission

    def _has_expired(self, request: Request) -> bool:
        return self._valid_until is not None and request.started_at >= self._valid_until

    def upstream_head(self, request: Request, target: Target, upstream: Upstream) -> bytes:
        """The head that goes to a target, up to its length."""
        signature = upstream.credential.line
        if target is not self._target or upstream is not self._upstream or signature is not self._signature:
            self._upstream_head = upstream_head(request, target, upstream)
            self._target, self._upstream, self._signature = target, upstream, signature
        return self._upstream_head

    def shared_fields(
        self,
        address: Address,
        admission: Admission | None,
        target: Target | None,
        upstream: Upstream | None,
        replica: str,
        client_address: str | None,
    ) -> SharedFields:
        """What the record of a call has in common with the last one's."""
        last = self._shared_by
        if (
            self._shared is None
            or last[0] is not address
            or last[1] is not admission
            or last[2] is not target
            or last[3] is not upstream
        ):
            self._shared_by = (address, admission, target, upstream)
            self._shared = SharedFields(
                address, admission, target, upstream, replica=replica, client_address=client_address
            )
        return self._shared
