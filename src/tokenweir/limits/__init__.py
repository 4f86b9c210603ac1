"""How much may be used: limits, what is given out of them, and the admission of a call. Pure decisions."""

from .estimate import Estimate, estimate_of
from .limit import Limit, limits_of
from .limiter import Limiter, Reservation
from .periods import Calendar
from .settings import AdmissionSettings, LimitAmounts, LimitSettings

__all__ = [
    "AdmissionSettings",
    "Calendar",
    "Estimate",
    "Limit",
    "LimitAmounts",
    "LimitSettings",
    "Limiter",
    "Reservation",
    "estimate_of",
    "limits_of",
]
