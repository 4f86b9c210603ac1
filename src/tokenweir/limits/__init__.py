"""How much may be used: limits, what is given out of them, and the admission of a call. Pure decisions."""

from .accounts import QuotaAccount, RateAccount
from .estimate import Estimate, estimate_of
from .holder import Ask, Granted, Held, Holder, HolderStore, Return
from .limit import Limit, limits_of
from .limiter import Limiter, Reservation
from .periods import Calendar
from .settings import AdmissionSettings, LimitAmounts, LimitSettings
from .slices import Grant
from .states import LimitOverride, LimitState

__all__ = [
    "AdmissionSettings",
    "Ask",
    "Calendar",
    "Estimate",
    "Grant",
    "Granted",
    "Held",
    "Holder",
    "HolderStore",
    "Limit",
    "LimitAmounts",
    "LimitOverride",
    "LimitSettings",
    "LimitState",
    "Limiter",
    "QuotaAccount",
    "RateAccount",
    "Reservation",
    "Return",
    "estimate_of",
    "limits_of",
]
