"""Which of several requests is the newest: only that one is worth the work."""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from itertools import count

_MOST_CLIENTS = 100


@dataclass(frozen=True)
class Turn:
    """One request of a client."""

    client: str
    number: int


class Newest:
    """The newest request of each client. Safe to use from several threads at once."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._newest: OrderedDict[str, int] = OrderedDict()
        self._lock = threading.Lock()

    def turn(self, client: str) -> Turn:
        """Return a turn that is the newest of a client, until it takes another."""
        with self._lock:
            number = next(self._numbers)
            self._newest[client] = number
            self._newest.move_to_end(client)
            if len(self._newest) > _MOST_CLIENTS:
                self._newest.popitem(last=False)
        return Turn(client, number)

    def is_stale(self, turn: Turn) -> bool:
        """Return whether the client has taken another turn since."""
        with self._lock:
            return self._newest.get(turn.client, turn.number) != turn.number
