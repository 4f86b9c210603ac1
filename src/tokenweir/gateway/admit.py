"""Whose call this is, whether it may go on, and what is reserved for it."""

import re
from collections.abc import Callable, Sequence
from decimal import ROUND_CEILING
from typing import Protocol

import msgspec
from msgspec.structs import replace

from ..errors import InvalidToken, JournalUnavailable, QuotaExceeded, Refusal, ShuttingDown
from ..limits import AdmissionSettings, Ask, Grant, Held, Limiter, Reservation, Return, estimate_of
from ..limits.limit import NANO
from ..policy import Keyring, TokenVerifier, is_token, token_identity
from ..pricing import PriceList, known_as
from ..records import CallRecord, Clock
from ..wire import bearer_of, key_in
from .request import Admission, Ending, Request
from .routes import READS

__all__ = ["LimitHolder", "LimitRule", "admit", "identify", "quota_event"]

_RATES = re.compile(rb"\r\nx-ratelimit-(?:limit|remaining|reset)-(?:requests|tokens):[^\r]*", re.IGNORECASE)
# A price is of a million tokens, and a unit is a thousandth of 1e-9: 1e12 / 1e6.
_PRICE_UNITS = 1_000_000
_MOST_RATES = 4_096
_RATES_SECONDS = 60.0
_HEADER = "header:"
_METADATA = "metadata:"


def identify(request: Request, keyring: Keyring, *, trusts_platform: bool = False) -> Admission:
    """Whose call this is. Raises as ``Keyring.identify`` and ``TokenVerifier.verify`` do.

    ``trusts_platform``: a platform in front has authenticated, and nobody can come past it. Whom it names is the
    call's subject, and where no caller has a key, the caller. Else the subject is whom a token of Entra names, which is
    believed for reports and for nothing else, unless it is validated here.
    """
    bearer = bearer_of(request.head.fields.get(b"authorization"))
    if keyring.tokens is not None:
        return _identify_by_token(request, keyring, keyring.tokens, bearer, trusts_platform)
    key = key_in(request.head.fields) or request.address.query_key
    identity = keyring.identify(key, request.started_at)
    subject = request.address.principal if trusts_platform else None
    if subject is not None and keyring.is_open:
        identity = replace(identity, caller=subject)
    token = token_identity(bearer or b"")
    if token is None:
        return Admission(identity, key, subject, None, "platform" if subject is not None else None)
    source = "platform" if subject is not None else "token"
    return Admission(identity, key, subject or token.user, token.application, source)


def _identify_by_token(
    request: Request, keyring: Keyring, tokens: TokenVerifier, bearer: bytes | None, trusts_platform: bool
) -> Admission:
    """Where tokens open the port as keys do. What is sent has to be good, also where one of both would be enough."""
    now, subject = request.started_at, request.address.principal if trusts_platform else None
    key = key_in(request.head.fields) or request.address.query_key
    wants_both = tokens.settings.with_key == "both"
    if bearer is None or not is_token(bearer):
        identity = keyring.identify(key, now)
        if wants_both:
            raise InvalidToken("A token of Microsoft Entra ID is asked for beside the key, as `Authorization: Bearer`.")
        return Admission(identity, key, subject, None, "platform" if subject is not None else None)
    token = tokens.verify(bearer, now)
    identity = keyring.token_identity(token)
    if key == bearer:
        key = None
    if key is not None or wants_both:
        identity = keyring.identify(key, now)
        if identity.valid_until is None or token.valid_until < identity.valid_until:
            identity = replace(identity, valid_until=token.valid_until)
    source = "platform" if subject is not None else "validated_token"
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


class LimitHolder(Protocol):
    """Who has the truth about limits that relays share."""

    truth: int
    """Another number than before where the truth was lost and has begun anew."""

    def ask(
        self,
        asks: Sequence[Ask],
        returns: Sequence[Return],
        held: Sequence[Held],
        on_answer: Callable[[Sequence[Grant] | None], None],
    ) -> None:
        """Does not wait. ``on_answer`` is told once, perhaps at once: a grant for each ask; ``None`` where the holder
        is away, or does not answer in two seconds."""
        ...


class LimitRule:
    """The limits of one configuration, as calls are held against them."""

    def __init__(
        self,
        limiter: Limiter,
        settings: AdmissionSettings,
        clock: Clock,
        holder: LimitHolder | None = None,
        *,
        relays: int = 1,
        prices: PriceList | None = None,
    ) -> None:
        """Without a ``holder``, this relay has the truth itself. ``relays``: how many ask it. ``prices``: where money
        is limited."""
        self._prices = prices
        self._rates: dict[tuple[str, str | None, str | None], tuple[int, int]] = {}
        self._rates_until = 0.0
        self.limiter = limiter
        self._holder = holder
        self._share = relays if settings.on_outage == "open" else 0
        self._bytes_per_token = settings.bytes_per_token
        self._output_tokens = settings.output_tokens
        self._session_from = settings.session_from or ["header:x-session-id", "metadata:session_id"]
        self._clock = clock

    def reserve(self, request: Request, admission: Admission) -> Reservation | None:
        """What the call is under at most; ``None`` for one that only reads. Raises ``RateLimited`` or
        ``QuotaExceeded``."""
        address, limiter = request.address, self.limiter
        if request.head.method in READS and not address.is_socket:
            return None
        deployment = address.route.deployment or request.model or ""
        tokens = output = 0
        if limiter.counts_tokens and not address.is_socket:
            tokens, output = self._estimate(request, deployment)
        cost = output_price = 0
        if limiter.counts_cost and not address.is_socket:
            if not limiter.counts_tokens:
                tokens, output = self._estimate(request, deployment)
            input_price, output_price = self._prices_of(request, deployment)
            cost = -(-((tokens - output) * input_price + output * output_price) // 1000)
        identity = admission.identity
        return limiter.admit(
            identity.caller,
            identity.groups,
            deployment,
            address.route.api,
            self._session_of(request) if limiter.counts_sessions else "",
            tokens,
            output,
            self._clock.monotonic(),
            request.started_at.timestamp(),
            cost,
            output_price,
        )

    def _estimate(self, request: Request, deployment: str) -> tuple[int, int]:
        """Tokens at most, and those of the answer among them."""
        body = request.whole_body()
        estimate = estimate_of(
            request.address.surface.estimate,
            request.model or deployment,
            body,
            len(body),
            request.max_output,
            request.answers,
            bytes_per_token=self._bytes_per_token,
            assumed_output=self._output_tokens,
        )
        return estimate.prompt + estimate.output, estimate.output

    def _prices_of(self, request: Request, deployment: str) -> tuple[int, int]:
        """What a token of the prompt and of the answer costs at most, in thousandths of `NANO`'s units; 0 where no
        price is known before the call."""
        now = self._clock.monotonic()
        if now >= self._rates_until or len(self._rates) >= _MOST_RATES:  # a row may have begun to count meanwhile
            self._rates, self._rates_until = {}, now + _RATES_SECONDS
        key = (deployment, request.model, request.service_tier)
        found = self._rates.get(key)
        if found is None:
            found = self._rates[key] = self._look_up(request, deployment)
        return found

    def _look_up(self, request: Request, deployment: str) -> tuple[int, int]:
        if self._prices is None:
            return 0, 0
        asked = CallRecord("", request.started_at, deployment=deployment, requested_model=request.model)
        tier = known_as(request.service_tier) if request.service_tier not in (None, "auto", "default") else None
        row = self._prices.row_for(asked, tier) if tier is not None else None
        row = row or self._prices.row_for(asked)
        if row is None:
            return 0, 0
        dearest = max(row.input or 0, row.cache_write or 0)
        return int(dearest * _PRICE_UNITS), int((row.output or 0) * _PRICE_UNITS)

    def ask(self, reservation: Reservation, then: Callable[[Refusal | None], None]) -> None:
        """Asks the holder for what a reservation misses. ``then`` is told once why the call may not go on, or
        ``None``."""
        holder = self._holder
        if holder is None:
            raise AssertionError("nobody has the truth")
        asks, returns = self.limiter.question(reservation, self._clock.monotonic())

        def answer(grants: Sequence[Grant] | None) -> None:
            now = self._clock.monotonic()
            try:
                if grants is None:
                    self.limiter.not_told(returns)
                    self.limiter.unanswered(reservation, now, self._share)
                else:
                    self.limiter.answered(reservation, grants, now, self._clock.now().timestamp())
            except Refusal as refusal:
                then(refusal)
            else:
                then(None)

        holder.ask(asks, returns, [], answer)

    def tell(self, *, is_last: bool = False) -> None:
        """To be called every second, and at the end: what this relay holds, and what it does not need."""
        holder = self._holder
        if holder is None:
            return
        returns, held = self.limiter.tidings(self._clock.monotonic(), self._clock.now().timestamp(), is_last=is_last)
        truth = holder.truth
        asks = [] if is_last else self.limiter.refresh(self._clock.monotonic(), self._clock.now().timestamp())

        def answer(grants: Sequence[Grant] | None) -> None:
            if grants is None:
                self.limiter.not_told(returns)
            else:
                self.limiter.refreshed(asks, grants, self._clock.monotonic())
            if truth and holder.truth != truth:
                known = self.limiter.recollections(self._clock.monotonic(), self._clock.now().timestamp())
                holder.ask(known, [], [], lambda grants: None)

        holder.ask(asks, returns, held, answer)

    def answered(self, lines: bytes, reservation: Reservation) -> bytes:
        """An answer's header lines with what is left of this caller's rates, in place of what the upstream says of
        everybody's."""
        ours = self.limiter.lines(reservation, self._clock.monotonic())
        return _RATES.sub(b"", lines) + ours if ours else lines

    def settle(self, reservation: Reservation, ending: Ending, record: CallRecord, *, has_run: bool) -> None:
        """The call has ended. What it used and did not tell, or what has no price, counts as what was reserved."""
        usage = record.usage
        tokens: int | None = usage.total_tokens
        status = ending.status or 0
        if status == 101 or (usage.source == "none" and usage.reason is not None and status < 300):
            tokens = None  # a WebSocket has told as it went; of others nobody knows
        cost = None if tokens is None else self._cost_of(record)
        self.limiter.settle(reservation, tokens, self._clock.monotonic(), has_run=has_run, cost=cost)

    def add(self, reservation: Reservation, record: CallRecord) -> None:
        """What one answer on a WebSocket has used, for which nothing was reserved."""
        cost = self._cost_of(record) or 0
        self.limiter.add(reservation, record.usage.total_tokens, cost, self._clock.monotonic())

    def _cost_of(self, record: CallRecord) -> int | None:
        """In units of `NANO`, rounded up; ``None`` where that is not known, or not all of it."""
        if self._prices is None or not self.limiter.counts_cost:
            return None
        if record.usage.source == "none":
            return 0
        priced = self._prices.priced(record)
        if priced.cost is None or priced.cost_reason is not None:
            return None
        return int((priced.cost * NANO).to_integral_value(ROUND_CEILING))

    def _session_of(self, request: Request) -> str:
        for source in self._session_from:
            if source.startswith(_HEADER):
                found = request.header(source[len(_HEADER) :].lower().encode("ascii"))
                if found:
                    return found
            else:
                named = request.metadata_member(source[len(_METADATA) :])
                if named is not None:
                    return named
        return ""


def quota_event(call_id: str) -> bytes:
    """What ends a stream whose limit has nothing left: an event that the SDKs of OpenAI and Anthropic raise as an
    error."""
    message = f"A limit of this gateway has nothing left, so this answer ends here (call {call_id})."
    error = {"type": QuotaExceeded.type, "message": message, "param": None, "code": QuotaExceeded.code}
    told = {"type": "error", "code": QuotaExceeded.code, "message": message, "param": None, "error": error}
    return b"event: error\ndata: " + msgspec.json.encode(told) + b"\n\n"
