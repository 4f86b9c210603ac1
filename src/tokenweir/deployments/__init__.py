"""The catalogue of deployments and the choice among their targets."""

from .affinity import NO_KEY, AffinityRule
from .breaker import Breaker, BreakerState
from .catalogue import Catalogue
from .pool import Candidates, PassedOver, PoolTarget, TargetHealth, TargetPool, Waiter
from .retirements import RETIREMENTS, retirement_of
from .settings import BreakerSettings, DeploymentSettings, Target, TargetSettings

__all__ = [
    "NO_KEY",
    "RETIREMENTS",
    "AffinityRule",
    "Breaker",
    "BreakerSettings",
    "BreakerState",
    "Candidates",
    "Catalogue",
    "DeploymentSettings",
    "PassedOver",
    "PoolTarget",
    "Target",
    "TargetHealth",
    "TargetPool",
    "TargetSettings",
    "Waiter",
    "retirement_of",
]
