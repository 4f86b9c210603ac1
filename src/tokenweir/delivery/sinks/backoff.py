"""How long to wait before something that failed is tried again. Pure: chance comes from outside."""

from ..errors import Denied, Throttled

__all__ = ["delay"]

_FIRST_SECONDS = 0.5
_LONGEST_SECONDS = 60.0
# Azure has been seen to ask for a day. Whoever asks for more than this is asked again after it.
_LONGEST_OBEYED = 900.0


def delay(failures: int, error: Exception, chance: float) -> float:
    """Seconds to wait after so many failures in a row. ``chance``, from 0 to 1, spreads out those who failed together.

    Twice as long each time, up to a minute; a minute at once where a person has to act first.
    """
    # The exponent is bounded so that a night of failures does not become a number that no float holds.
    backed_off = min(_LONGEST_SECONDS, _FIRST_SECONDS * 2.0 ** min(failures - 1, 20))
    longest = _LONGEST_SECONDS if isinstance(error, Denied) else backed_off
    seconds = longest * (0.5 + chance / 2)
    if isinstance(error, Throttled) and error.retry_after is not None:
        return max(seconds, min(error.retry_after, _LONGEST_OBEYED))
    return seconds
