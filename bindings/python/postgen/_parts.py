"""Runs the methods of own parts (protocols.py) for the engine."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import queue
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from datetime import datetime
from functools import partial
from typing import Any

from . import _core
from ._documents import decode
from .errors import Error
from .protocols import Parts

_log = logging.getLogger("postgen")

# What each part must be able to do, and the code of a call whose method raised.
_METHODS: dict[str, tuple[tuple[str, ...], str]] = {
    "llm": (("complete",), "upstream"),
    "cache": (("get", "set"), "internal"),
    "store": (("put", "get"), "store"),
}

_STOP_TIMEOUT_S = 1.0


class PartsRunner:
    """Takes the engine's questions from `queue` on an event loop of its own, in a thread that
    Python started, and answers them there."""

    def __init__(self, parts: Parts) -> None:
        self._methods = _methods_of(parts)
        self.queue = _core.PartQueue()
        self._tasks: dict[_core.PartJob, asyncio.Task[None]] = {}
        self._workers = _DaemonWorkers(limit=64)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="postgen-parts", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the loop. Called once the engine asks nothing any more. Idempotent."""
        self.queue.close()
        if threading.current_thread() is self._thread:
            return
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_STOP_TIMEOUT_S)
        self._workers.shutdown(wait=False)

    def _run(self) -> None:
        self._loop.add_reader(self.queue.event_fd, self._take)
        try:
            self._loop.run_forever()
        finally:
            for task in self._tasks.values():
                task.cancel()
            self._loop.run_until_complete(asyncio.sleep(0))
            self._loop.close()

    def _take(self) -> None:
        for job in self.queue.take():
            if not job.ended:
                task = self._loop.create_task(self._carry_out(job))
                self._tasks[job] = task
                task.add_done_callback(partial(self._forget, job))
            elif job in self._tasks:
                self._tasks[job].cancel()

    def _forget(self, job: _core.PartJob, _: asyncio.Task[None]) -> None:
        self._tasks.pop(job, None)

    async def _carry_out(self, job: _core.PartJob) -> None:
        part = job.kind.split(".")[0]
        try:
            async with asyncio.timeout(job.seconds_left()):
                answer = await self._call(job)
            job.answer(_prepared_answer(job.kind, answer))
        except asyncio.CancelledError:
            job.fail("cancelled", "the call was cancelled")
        except TimeoutError:
            job.fail("deadline", f"the Python part '{part}' gave no answer in time")
        except Error as error:
            job.fail(error.code, str(error))
        except Exception as error:
            _log.warning("the Python part '%s' failed in '%s'", part, job.kind, exc_info=True)
            job.fail(_METHODS[part][1], f"the Python part '{part}' raised {type(error).__name__}")

    async def _call(self, job: _core.PartJob) -> Any:
        method = self._methods.get(job.kind)
        if method is None:
            return []  # store.migrate of a store that has nothing to migrate
        arguments = _prepared_arguments(job)
        if inspect.iscoroutinefunction(method):
            return await method(*arguments)
        answer = await self._loop.run_in_executor(self._workers, method, *arguments)
        return await answer if inspect.isawaitable(answer) else answer


def _methods_of(parts: Parts) -> dict[str, Callable[..., Any]]:
    methods: dict[str, Callable[..., Any]] = {}
    for name, part in parts.items():
        if name not in _METHODS:
            raise TypeError(f"there is no part '{name}'; parts are {', '.join(_METHODS)}")
        for method in _METHODS[name][0]:
            if not callable(getattr(part, method, None)):
                raise TypeError(f"the part '{name}' has no method '{method}'")
            methods[f"{name}.{method}"] = getattr(part, method)
        if name == "store" and callable(getattr(part, "migrate", None)):
            methods["store.migrate"] = part.migrate  # type: ignore[attr-defined]
    return methods


def _prepared_arguments(job: _core.PartJob) -> tuple[Any, ...]:
    """Requests and rows come as JSON."""
    arguments = job.arguments()
    if job.kind == "llm.complete":
        return (decode(arguments[0]),)
    if job.kind == "store.put":
        row = decode(arguments[0])
        row["created_at"] = datetime.fromisoformat(row["created_at"])
        return (row,)
    return arguments


def _prepared_answer(kind: str, answer: Any) -> Any:
    """Completions go as JSON, times of rows as seconds."""
    if kind == "llm.complete":
        reply = {"text": answer} if isinstance(answer, str) else dict(answer)
        return json.dumps(reply, ensure_ascii=False).encode()
    if kind == "store.get" and isinstance(answer, Mapping):
        row = dict(answer)
        if isinstance(row.get("created_at"), datetime):
            row["created_at"] = row["created_at"].timestamp()
        return row
    return answer


class _DaemonWorkers(Executor):
    """A thread pool that never holds up the interpreter's exit."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._idle = threading.Semaphore(0)
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._threads = 0

    def submit(  # type: ignore[override]
        self, function: Callable[..., Any], /, *arguments: Any
    ) -> Future[Any]:
        future: Future[Any] = Future()

        def work() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function(*arguments))
                except BaseException as error:
                    future.set_exception(error)

        self._work.put(work)
        if not self._idle.acquire(blocking=False) and self._threads < self._limit:
            self._threads += 1
            threading.Thread(target=self._run, name="postgen-part", daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        del wait, cancel_futures
        for _ in range(self._threads):
            self._work.put(None)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()
            self._idle.release()
