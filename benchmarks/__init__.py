"""Tokenweir beside nginx, Envoy and LiteLLM: the same load, the same upstream, one core for the gateway."""
