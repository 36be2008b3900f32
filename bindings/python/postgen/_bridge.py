"""From the engine's events to one asyncio loop, with one wake-up for many of them."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from typing import Any

from . import _core

_EVENTS_PER_WAKE_UP = 1024

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

    def listen(self, call: _core.Call, listener: Listener) -> None:
        if not self._open:
            asyncio.get_running_loop().add_reader(self.queue.event_fd, self._drain)
        self._open[call.id] = weakref.ref(listener)

    def _drain(self) -> None:
        for call_id, last, event in self.queue.next(0, _EVENTS_PER_WAKE_UP):
            listener = self._open.pop(call_id)() if last else self._open[call_id]()
            if listener is not None:
                listener(event, last)
        if not self._open:
            asyncio.get_running_loop().remove_reader(self.queue.event_fd)
