"""From the engine's events to one asyncio loop, with one wake-up for many of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from . import _core
from ._documents import decode

_EVENTS_PER_WAKE_UP = 256

# Called on the loop with each event of a call; the flag marks the last one.
Listener = Callable[[dict[str, Any], bool], None]


class LoopBridge:
    """Listens for the calls that one loop awaits. For use on that loop only.

    Its descriptor is registered with the loop only while calls are open. It keeps no reference to
    the loop: a loop that is closed and forgotten takes its bridge along, which cancels what was
    open.
    """

    def __init__(self) -> None:
        self.queue = _core.EventQueue()
        self._open: dict[int, tuple[_core.Call, Listener]] = {}

    def listen(self, call: _core.Call, listener: Listener) -> None:
        if not self._open:
            asyncio.get_running_loop().add_reader(self.queue.event_fd, self._drain)
        self._open[call.id] = call, listener

    def _drain(self) -> None:
        for call_id, last, document in self.queue.next(0, _EVENTS_PER_WAKE_UP):
            if last:
                _, listener = self._open.pop(call_id)
            else:
                _, listener = self._open[call_id]
            listener(decode(document), last)
        if not self._open:
            asyncio.get_running_loop().remove_reader(self.queue.event_fd)

    def __del__(self) -> None:
        for call, _ in self._open.values():
            call.cancel()
