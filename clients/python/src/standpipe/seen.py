"""Which events of one log the application already has, where the cursor alone does not tell."""

from __future__ import annotations

from collections import deque

CAPACITY = 1 << 16
"""How many events are remembered."""


class Seen:
    """The last events that were handed on, by `seq`.

    When it is full, the event handed on first is forgotten: were it to come again, the application would get it twice,
    which the wire allows across reconnects.
    """

    def __init__(self) -> None:
        """Nothing was handed on."""
        self._seqs: set[int] = set()
        self._order: deque[int] = deque()

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._order)

    def insert(self, seq: int) -> bool:
        """Remembers `seq`. False if it was there already."""
        if seq in self._seqs:
            return False
        self._seqs.add(seq)
        self._order.append(seq)
        if len(self._order) > CAPACITY:
            self._seqs.remove(self._order.popleft())
        return True

    def clear(self) -> None:
        """The log is another one: its numbers mean other events."""
        self._seqs.clear()
        self._order.clear()
