"""The command line: one file per command. Each imports what it needs when it runs, so that help is quick."""

from .commands import app, main

__all__ = ["app", "main"]
