"""From the engine's events to one asyncio loop, with one wake-up for many of them."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from typing import Any

from . import _core

_EVENTS_PER_WAKE_UP = 1024

# With so many calls open, events are taken in ticks instead of one by one as they come: a turn of
# the loop for each would cost more than the events do.
_MANY_CALLS = 32
_TICK_S = 0.005

# Called on the loop with each event of a call; the flag marks the last one.
Listener = Callable[[dict[str, Any], bool], None]


class LoopBridge:
    """Listens for the calls that one loop awaits. For use on that loop only.

    Its descriptor is registered with the loop only while calls are open. Listeners belong to the
    coroutines that wait and are held weakly: a loop that is dropped with coroutines waiting is
    collected with them, and they cancel their calls on the way out.
    """

    def __init__(self) -> None:
        self.queue = _core.EventQueue()
        self._open: dict[int, weakref.ref[Listener]] = {}
        self._reading = False  # the loop watches the descriptor
        self._ticking = False  # or a timer looks for events

    def listen(self, call: _core.Call, listener: Listener) -> None:
        self._open[call.id] = weakref.ref(listener)
        if not self._ticking:
            self._read(True)

    def _drain(self) -> None:
        events = self.queue.next(0, _EVENTS_PER_WAKE_UP)
        for call_id, last, event in events:
            listener = self._open.pop(call_id)() if last else self._open[call_id]()
            if listener is not None:
                listener(event, last)
        # Only while there was something to take: a silent provider costs no ticks.
        self._ticking = bool(events) and len(self._open) >= _MANY_CALLS
        self._read(bool(self._open) and not self._ticking)
        if self._ticking:
            asyncio.get_running_loop().call_later(_TICK_S, self._drain)

    def _read(self, reading: bool) -> None:
        if reading == self._reading:
            return
        self._reading = reading
        loop = asyncio.get_running_loop()
        if reading:
            loop.add_reader(self.queue.event_fd, self._drain)
        else:
            loop.remove_reader(self.queue.event_fd)
