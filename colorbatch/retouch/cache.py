"""Things that are kept while there is room for them, those that were used last."""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Cache(Generic[_T]):
    """The things that were used last, up to a number and a size in bytes, at least one. Safe to use from threads."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._things: OrderedDict[Hashable, tuple[_T, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> _T | None:
        """Return a thing; ``None``: it is not kept."""
        with self._lock:
            if key not in self._things:
                return None
            self._things.move_to_end(key)
            return self._things[key][0]

    def put(self, key: Hashable, thing: _T, size: int) -> None:
        """Keep a thing of ``size`` bytes, and drop others where there is no room."""
        with self._lock:
            self._things[key] = (thing, size)
            self._things.move_to_end(key)
            while len(self._things) > 1 and (len(self._things) > self._most or self._used > self._most_bytes):
                self._things.popitem(last=False)

    @property
    def _used(self) -> int:
        return sum(size for _, size in self._things.values())
