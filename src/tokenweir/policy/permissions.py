"""What a caller may use: lists of names, whose last character may be a star. No list is no restriction."""

from collections.abc import Iterable

__all__ = ["NameList", "Permissions", "permissions_of"]


class NameList:
    """Names, and beginnings of names. Not to be changed."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self.patterns = sorted(set(patterns))
        self._names = frozenset(pattern for pattern in self.patterns if not pattern.endswith("*"))
        self._beginnings = tuple(pattern[:-1] for pattern in self.patterns if pattern.endswith("*"))

    def __repr__(self) -> str:
        return f"<NameList {self}>"

    def __str__(self) -> str:
        """For a person."""
        return ", ".join(self.patterns) or "nothing"

    def holds(self, name: str) -> bool:
        return name in self._names or name.startswith(self._beginnings)


class Permissions:
    """One caller's. ``None`` for a kind of thing: all of it. Not to be changed."""

    def __init__(
        self,
        deployments: NameList | None,
        models: NameList | None,
        surfaces: NameList | None,
        *,
        may_list: bool = True,
    ) -> None:
        """``may_list``: whether it may list what all callers keep at an upstream."""
        self.may_list = may_list
        self.deployments = deployments
        self.models = models
        self.surfaces = surfaces

    def __repr__(self) -> str:
        return f"<Permissions deployments: {self.deployments}; models: {self.models}; surfaces: {self.surfaces}>"

    @property
    def names_models(self) -> bool:
        """Whether a call has to say what it is for."""
        return self.deployments is not None or self.models is not None


def permissions_of(
    deployments: Iterable[list[str] | None],
    models: Iterable[list[str] | None],
    surfaces: Iterable[list[str] | None],
    *,
    may_list: bool = True,
) -> Permissions | None:
    """What is in any of the lists of a kind; ``None`` where nothing is restricted."""
    lists = [_union(deployments), _union(models), _union(surfaces)]
    if may_list and lists[0] is None and lists[1] is None and lists[2] is None:
        return None
    return Permissions(lists[0], lists[1], lists[2], may_list=may_list)


def _union(lists: Iterable[list[str] | None]) -> NameList | None:
    found = [one for one in lists if one is not None]
    return NameList([name for one in found for name in one]) if found else None
