"""Puts the rooms together and runs them: the only place that knows them all.

Nothing is imported here: a relay process must not load what only the books need.
"""

__all__: list[str] = []
