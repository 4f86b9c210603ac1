"""What the ingestion endpoint answers, and what that means for each event of a request.

The exporter itself tells only success or failure, and counts an event as gone where it may not write a file for it:
so its answers are read here once more.
"""

from collections.abc import Mapping

import msgspec

from ...base import DeliveryError, Denied, Throttled, Unavailable

__all__ = ["IngestionAnswer", "ItemError", "read_answer"]

_LONGEST_TEXT = 200

# What may be taken another time. The service also says 402 and 439: a quota or the daily cap is used up.
_BUSY = {402, 429, 439}
_PASSING = {401, 403, 408, 500, 502, 503, 504}

# What it says about these very events; other statuses are about credentials, or its availability.
_UNWANTED = {400, 413}

_SAMPLED_OUT = "telemetry sampled out."
_NO_SUCH_RESOURCE = "instrumentation key"

_MEANINGS = {
    401: (
        "wants an Entra sign-in (401): set `managed_identity = true`, or allow local authentication "
        "in the Application Insights resource"
    ),
    403: (
        "does not let us in (403): give this identity the role Monitoring Metrics Publisher "
        "on the Application Insights resource"
    ),
    404: "takes no telemetry for this resource (404): copy the connection string whole from the portal",
    307: "sends us to another host (307): copy the connection string anew from the portal",
    308: "sends us to another host (308): copy the connection string anew from the portal",
    402: "takes nothing now (402): the quota of the Application Insights resource is used up",
    439: "takes nothing now (439): the daily cap of the Application Insights resource is reached",
}


class ItemError(msgspec.Struct, frozen=True, rename="camel"):
    """Why one event of a request was not taken; ``index`` counts from 0."""

    index: int | None = None
    status_code: int | None = None
    message: str | None = None

    @property
    def text(self) -> str:
        """For a person."""
        if (self.message or "").lower() == _SAMPLED_OUT:
            return "was sampled out by the service: turn off ingestion sampling in the Application Insights resource"
        return f"is not taken ({self.status_code}): {(self.message or 'no reason is given')[:_LONGEST_TEXT]}"

    @property
    def may_pass(self) -> bool:
        """Whether the event may be taken another time."""
        return self.status_code in _BUSY | _PASSING and (self.message or "").lower() != _SAMPLED_OUT


class IngestionAnswer(msgspec.Struct, frozen=True):
    """One answer, read."""

    status: int
    errors: list[ItemError] = []
    retry_after: float | None = None

    @property
    def takes_events(self) -> bool:
        """All of them but those among the errors."""
        return self.status in (200, 206)

    @property
    def is_about_events(self) -> bool:
        """Whether it takes none of them, and others might be taken."""
        knows_us = not any(_NO_SUCH_RESOURCE in (one.message or "").lower() for one in self.errors)
        return self.status in _UNWANTED and knows_us

    def blames_each_of(self, count: int) -> bool:
        return {one.index for one in self.errors} >= set(range(count))

    def meaning(self, host: str) -> DeliveryError:
        """Of an answer that takes nothing, for reasons that are not the events'."""
        if self.status in _BUSY:
            return Throttled(f"{host} {_MEANINGS.get(self.status, 'is busy (429)')}", self.retry_after)
        if self.status >= 500 or self.status == 408:
            said = f"{host} returned {self.status} (server error)"
            return Unavailable(said) if self.retry_after is None else Throttled(said, self.retry_after)
        if self.status == 400:
            return Denied(f"{host} does not know this resource (400): copy the connection string whole from the portal")
        return Denied(f"{host} {_MEANINGS.get(self.status, f'answers {self.status}: check the connection string')}")


class _Body(msgspec.Struct, frozen=True):
    errors: list[ItemError] | None = None


def read_answer(status: int, headers: Mapping[str, str], body: bytes) -> IngestionAnswer:
    """Never fails: what cannot be read says nothing."""
    try:
        errors = msgspec.json.decode(body, type=_Body).errors or []
    except (msgspec.DecodeError, UnicodeDecodeError):
        errors = []
    seconds = next((value for name, value in headers.items() if name.lower() == "retry-after"), "")
    return IngestionAnswer(status, errors, float(seconds) if seconds.isdecimal() else None)
