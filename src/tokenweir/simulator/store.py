"""What later calls may ask for again: responses, files, jobs. In memory, for as long as the simulator runs."""

from typing import Any

from .failures import Refused

__all__ = ["StoredObjects"]

# Of a kind; then the oldest go. A benchmark that stores responses must not eat the machine.
_KEPT = 10_000


class StoredObjects:
    """Objects by kind and id, oldest first. One per simulator; every caller sees all of them."""

    def __init__(self) -> None:
        self._kinds: dict[str, dict[str, Any]] = {}

    def put(self, kind: str, id: str, value: Any) -> None:
        """Keeps an object, in place of an older one with its id."""
        kept = self._kinds.setdefault(kind, {})
        kept[id] = value
        if len(kept) > _KEPT:
            del kept[next(iter(kept))]

    def get(self, kind: str, id: str) -> Any:
        """Raises ``Refused`` (404) where there is none."""
        try:
            return self._kinds[kind][id]
        except KeyError:
            raise Refused.no_such_object(kind, id) from None

    def all(self, kind: str) -> list[Any]:
        return list(self._kinds.get(kind, {}).values())

    def remove(self, kind: str, id: str) -> Any:
        """What was kept. Raises ``Refused`` (404) where there is none."""
        value = self.get(kind, id)
        del self._kinds[kind][id]
        return value
