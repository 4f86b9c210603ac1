"""The catalogue of deployments and the choice among their targets."""

from .catalogue import Catalogue
from .retirements import RETIREMENTS, retirement_of
from .settings import DeploymentSettings, Target, TargetSettings

__all__ = ["RETIREMENTS", "Catalogue", "DeploymentSettings", "Target", "TargetSettings", "retirement_of"]
