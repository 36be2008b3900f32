"""The compiled generator of one process and what belongs to it."""

from __future__ import annotations

import asyncio
import threading
import weakref
from typing import TYPE_CHECKING

from . import _core
from ._bridge import LoopBridge
from ._documents import error_of

if TYPE_CHECKING:
    from .protocols import Parts


class Engine:
    """Owned by one PostGenerator; made anew in a forked child. Thread-safe."""

    def __init__(self, options_json: bytes, parts: Parts) -> None:
        self._bridges: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, LoopBridge] = (
            weakref.WeakKeyDictionary()
        )
        self._lock = threading.Lock()
        self._runner = None
        if parts:
            from ._parts import PartsRunner

            self._runner = PartsRunner(parts)
        try:
            self.native = _core.Generator(
                options_json,
                parts=self._runner.queue if self._runner else None,
                own_llm="llm" in parts,
                own_cache="cache" in parts,
                own_store="store" in parts,
            )
        except _core.Failure as failure:
            self._stop_runner()
            raise error_of(failure) from None

    def start(
        self,
        request_json: bytes,
        queue: _core.EventQueue | None = None,
        all_events: bool = False,
        restarts: bool = False,
    ) -> _core.Call:
        try:
            return self.native.start(request_json, queue, all_events, restarts)
        except _core.Failure as failure:
            raise error_of(failure) from None

    def bridge(self) -> LoopBridge:
        """The running loop's bridge."""
        loop = asyncio.get_running_loop()
        with self._lock:
            bridge = self._bridges.get(loop)
            if bridge is None:
                bridge = self._bridges[loop] = LoopBridge()
            return bridge

    def close(self, drain_ms: int) -> None:
        try:
            self.native.close(drain_ms)
        except _core.Failure as failure:
            raise error_of(failure) from None
        self._stop_runner()

    def _stop_runner(self) -> None:
        if self._runner:
            self._runner.stop()
