"""The catalogue of deployments and the choice among their targets."""

from .catalogue import Catalogue, Target
from .settings import DeploymentSettings, TargetSettings

__all__ = ["Catalogue", "DeploymentSettings", "Target", "TargetSettings"]
