"""Many posts: a bounded number at once, handed out in the order they were asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from typing import Any, NamedTuple

from . import _core
from .errors import Error
from .post import Post

# Finished posts may wait for a slower one before them, up to so many times the posts in flight.
_LOOK_AHEAD = 4


class Progress(NamedTuple):
    """What `on_progress` is called with after each finished post."""

    finished: int
    failed: int
    total: int | None  # None: the requests have no length
    cost_usd: float


class Window:
    """The part of a batch that is under way. Starts calls, takes their ends in any order, gives
    posts back in theirs."""

    def __init__(
        self,
        requests: Iterable[Mapping[str, Any]],
        start: Callable[[Mapping[str, Any]], _core.Call],
        limit: int,
        on_progress: Callable[[Progress], object] | None,
    ) -> None:
        self._requests: Iterator[Mapping[str, Any]] = iter(requests)
        self._total = len(requests) if isinstance(requests, Sized) else None
        self._start = start
        self._limit = limit
        self._on_progress = on_progress
        self._slots: deque[_Slot] = deque()  # in order; the first is the next to hand out
        self._in_flight: dict[int, _Slot] = {}
        self._finished = 0
        self._failed = 0
        self._cost_usd = 0.0
        self._more = True

    def fill(self) -> None:
        """Starts what may be started."""
        while (
            self._more
            and len(self._in_flight) < self._limit
            and len(self._slots) < self._limit * _LOOK_AHEAD
        ):
            try:
                request = next(self._requests)
            except StopIteration:
                self._more = False
                return
            slot = _Slot()
            self._slots.append(slot)
            try:
                slot.call = self._start(request)
            except Error as error:
                self._finish(slot, Post(error.reply))
            else:
                self._in_flight[slot.call.id] = slot

    def finish(self, call_id: int, post: Post) -> None:
        self._finish(self._in_flight.pop(call_id), post)

    def pop(self) -> Post | None:
        """The next post in order, once it has ended."""
        if self._slots and self._slots[0].post is not None:
            return self._slots.popleft().post
        return None

    @property
    def exhausted(self) -> bool:
        return not self._more and not self._slots

    def cancel(self) -> None:
        for slot in self._in_flight.values():
            if slot.call is not None:
                slot.call.cancel()

    def _finish(self, slot: _Slot, post: Post) -> None:
        slot.post = post
        self._finished += 1
        self._failed += not post.ok
        self._cost_usd += post.cost_usd or 0.0
        if self._on_progress is not None:
            self._on_progress(Progress(self._finished, self._failed, self._total, self._cost_usd))


class _Slot:
    __slots__ = ("call", "post")

    def __init__(self) -> None:
        self.call: _core.Call | None = None
        self.post: Post | None = None
