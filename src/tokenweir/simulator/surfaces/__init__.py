"""The simulated surfaces."""
