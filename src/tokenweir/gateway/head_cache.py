"""What the requests of one connection have in common, worked out once.

A client program sends the same head again and again, all but its length. Then its address, its caller
and the head that goes to each target are the same again too, until the configuration changes.
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

# Among which the calls of one connection may take turns before their heads are made again and again.
_MOST_TARGETS = 8


class HeadCache:
    """Per-connection cache of what was derived from the latest request head."""

    def __init__(self) -> None:
        self._fields: Fields | None = None
        self._address: Address | None = None
        self._keyring: Keyring | None = None
        self._admission: Admission | None = None
        self._valid_until: datetime | None = None
        # for the latest target, and for the ones before
        self._upstream_head: _UpstreamHead | None = None
        self._upstream_heads: tuple[_UpstreamHead, ...] = ()
        self._shared: _Shared | None = None
        self._all_shared: tuple[_Shared, ...] = ()

    def address(self, head: RequestHead) -> Address:
        """Raises as ``address_of`` does."""
        if head.fields is not self._fields or self._address is None:
            self._keyring = None
            self._forget_targets()
            self._address = address_of(head)
            self._fields = head.fields
        return self._address

    def admission(
        self, request: Request, keyring: Keyring, own_names: OwnNames | None, *, trusts_platform: bool
    ) -> Admission:
        """Raises as ``identify`` does, or ``NotOurName``."""
        if keyring is not self._keyring or self._admission is None or self._has_expired(request):
            self._forget_targets()
            if keyring.is_open and own_names is not None:
                own_names.check(request.head.fields)
            self._admission = identify(request, keyring, trusts_platform=trusts_platform)
            self._valid_until = self._admission.identity.valid_until
            self._keyring = keyring
        return self._admission

    def _forget_targets(self) -> None:
        self._upstream_head = self._shared = None
        self._upstream_heads = self._all_shared = ()

    def _has_expired(self, request: Request) -> bool:
        return self._valid_until is not None and request.started_at >= self._valid_until

    def upstream_head(self, request: Request, target: Target, upstream: Upstream) -> bytes:
        """The head that goes to a target, up to its length."""
        latest, signature = self._upstream_head, upstream.credential.line
        if latest is None or not latest.is_for(target, upstream, signature):
            latest = self._switched_head(request, target, upstream, signature)
        return latest.head

    def _switched_head(
        self, request: Request, target: Target, upstream: Upstream, signature: bytes | None
    ) -> "_UpstreamHead":
        """Where calls go to several targets in turn, each has a head that stays."""
        for known in self._upstream_heads:
            if known.is_for(target, upstream, signature):
                break
        else:
            known = _UpstreamHead(target, upstream, signature, upstream_head(request, target, upstream))
            self._upstream_heads = (known, *self._upstream_heads[: _MOST_TARGETS - 1])
        self._upstream_head = known
        return known

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
        latest = self._shared
        if latest is None or not latest.is_for(address, admission, target, upstream):
            for latest in self._all_shared:
                if latest.is_for(address, admission, target, upstream):
                    break
            else:
                latest = _Shared(
                    address,
                    admission,
                    target,
                    upstream,
                    SharedFields(address, admission, target, upstream, replica=replica, client_address=client_address),
                )
                self._all_shared = (latest, *self._all_shared[: _MOST_TARGETS - 1])
            self._shared = latest
        return latest.fields


class _UpstreamHead:
    """The head for one target. Not to be changed."""

    def __init__(self, target: Target, upstream: Upstream, signature: bytes | None, head: bytes) -> None:
        self._target = target
        self._upstream = upstream
        self._signature = signature
        self.head = head

    def is_for(self, target: Target, upstream: Upstream, signature: bytes | None) -> bool:
        return target is self._target and upstream is self._upstream and signature is self._signature


class _Shared:
    """The fields for one target. Not to be changed."""

    def __init__(
        self,
        address: Address,
        admission: Admission | None,
        target: Target | None,
        upstream: Upstream | None,
        fields: SharedFields,
    ) -> None:
        self._address = address
        self._admission = admission
        self._target = target
        self._upstream = upstream
        self.fields = fields

    def is_for(
        self, address: Address, admission: Admission | None, target: Target | None, upstream: Upstream | None
    ) -> bool:
        return (
            address is self._address
            and admission is self._admission
            and target is self._target
            and upstream is self._upstream
        )
