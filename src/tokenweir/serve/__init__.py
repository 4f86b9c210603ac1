"""Puts the rooms together and runs them: the only place that knows them all."""

from .supervisor import run

__all__ = ["run"]
