"""The prices of a configuration, for whoever gives records their cost."""

from ..delivery import Pricer
from ..pricing import Adjusting
from .model import Config

__all__ = ["pricer_of"]


def pricer_of(config: Config) -> Pricer:
    """By all tables about prices, and by the SKU that each deployment has upstream and the model that it runs."""
    skus = {
        target.deployment or deployment.name: target.sku
        for deployment in config.deployments
        for target in deployment.targets
        if target.sku is not None
    }
    models: dict[str, str] = {}
    for deployment in config.deployments:
        known = {target.model for target in deployment.targets}
        if len(known) == 1 and (model := known.pop()) is not None:
            models[deployment.name] = model
    adjusting = Adjusting(config.pricing.currency, config.exchange_rates, config.adjustments)
    return Pricer(config.prices, config.pricing, adjusting, skus, models)
