"""What mypyc has to be told of a class. It knows ``mypy_extensions.mypyc_attr`` by name while it compiles; at run time
the decorator does nothing, so that nobody has to install a package for it.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

__all__ = ["mypyc_attr"]

Class = TypeVar("Class")

if TYPE_CHECKING:
    from mypy_extensions import mypyc_attr
else:

    def mypyc_attr(**_facts: bool) -> Callable[[type[Class]], type[Class]]:
        """``allow_interpreted_subclasses=True``: of a compiled class that is a base of classes which are not."""
        return lambda decorated: decorated
