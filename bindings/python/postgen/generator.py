"""PostGenerator: the engine as Python sees it."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
import time
import warnings
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

from . import _core
from ._documents import decode, encode_options, encode_request, error_of, reply_of
from ._engine import Engine
from .errors import make_error
from .options import merged, options_from_env, options_from_file
from .post import Post

if TYPE_CHECKING:
    from .batch import Progress
    from .protocols import Parts


_EVENTS_PER_PULL = 64
# What an astream may leave unread, in characters; an event is as much as its dict takes.
_HOLD_AT = 64 * 1024
_RELEASE_AT = 16 * 1024
_EVENT_WEIGHT = 300
_DEFAULT_DRAIN_MS = 5000
_DEFAULT_CONCURRENCY = 64
_DEFAULT_MAX_PENDING_POSTS = 1000


class PostGenerator:
    """Generates posts. Options are keyword arguments, nested as in the documents:

        PostGenerator(llm={"base_url": url, "api_key": key}, store={"url": "sqlite:posts.db"})

    Thread-safe; may serve any number of threads and event loops at once. In a forked child it makes
    itself anew on first use, with one warning. It cannot be copied or pickled.
    """

    def __init__(self, *, parts: Parts | None = None, **options: Any) -> None:
        """Raises ConfigError naming the option. Opens no connection.

        `parts`: own objects in place of the engine's client, cache or store; see
        postgen.protocols.
        """
        self._options_json = encode_options(options)
        self._parts: Parts = {**parts} if parts else {}
        self._lock = threading.Lock()
        self._closed = False
        self._engine: Engine | None = Engine(self._options_json, self._parts)
        self._max_pending = _max_pending_posts(options)
        _live.add(self)

    @classmethod
    def from_env(cls, *, parts: Parts | None = None, **options: Any) -> PostGenerator:
        """With OPENAI_API_KEY, OPENAI_BASE_URL, DATABASE_URL, REDIS_URL; keyword arguments win."""
        return cls(parts=parts, **merged(options_from_env(), options))

    @classmethod
    def from_file(
        cls, path: str | os.PathLike[str], *, parts: Parts | None = None, **options: Any
    ) -> PostGenerator:
        """With the options of a TOML file; keyword arguments win."""
        return cls(parts=parts, **merged(options_from_file(path), options))

    # --- One post

    def generate(self, request: Mapping[str, Any]) -> Post:
        """Blocks until the post has ended; raises its Error if it failed."""
        call = self._use().start(encode_request(request))
        return Post(decode(call.wait())).raise_for_error()

    async def agenerate(self, request: Mapping[str, Any]) -> Post:
        """As generate(), awaited. Cancelling the task cancels the post."""
        engine = self._use()
        bridge = engine.bridge()
        ended: asyncio.Future[Post] = asyncio.get_running_loop().create_future()

        def listener(event: dict[str, Any], last: bool) -> None:
            if last and not ended.done():
                ended.set_result(Post(reply_of(event)))

        call = engine.start(encode_request(request), bridge.queue)
        bridge.listen(call, listener)
        try:
            post = await ended
        finally:
            call.cancel()  # without effect on a post that has ended
        return post.raise_for_error()

    def stream(
        self, request: Mapping[str, Any], *, restarts: bool = False
    ) -> Iterator[dict[str, Any]]:
        """The events of one post as they come. The last is `post`, or `error` for a failed one;
        both carry the reply as `result`. Leaving the loop early cancels the post. With `restarts`
        a version whose text broke off is written anew: `version_reset` takes its deltas back."""
        queue = _core.EventQueue()
        call = self._use().start(encode_request(request), queue, all_events=True, restarts=restarts)
        try:
            while True:
                for _, last, event in queue.next(-1, _EVENTS_PER_PULL):
                    yield event
                    if last:
                        return
        finally:
            call.cancel()

    async def astream(
        self, request: Mapping[str, Any], *, restarts: bool = False
    ) -> AsyncIterator[dict[str, Any]]:
        """As stream(), awaited."""
        engine = self._use()
        bridge = engine.bridge()
        events: deque[tuple[dict[str, Any], bool]] = deque()
        loop = asyncio.get_running_loop()
        arrived = loop.create_future()
        unread = 0
        held = False

        # The loop's bridge hands on the events of all calls as they come: who stays behind here
        # holds its own call back.
        def listener(event: dict[str, Any], last: bool) -> None:
            nonlocal unread, held
            events.append((event, last))
            unread += _weight(event)
            if unread > _HOLD_AT and not held:
                held = True
                bridge.queue.hold(call.id)
            if not arrived.done():
                arrived.set_result(None)

        call = engine.start(
            encode_request(request), bridge.queue, all_events=True, restarts=restarts
        )
        bridge.listen(call, listener)
        try:
            while True:
                while events:
                    event, last = events.popleft()
                    unread -= _weight(event)
                    if held and unread < _RELEASE_AT:
                        held = False
                        bridge.queue.release(call.id)
                    yield event
                    if last:
                        return
                arrived = loop.create_future()
                await arrived
        finally:
            call.cancel()
            bridge.queue.release(call.id)

    # --- Many posts

    def batch(
        self,
        requests: Iterable[Mapping[str, Any]],
        *,
        concurrency: int = _DEFAULT_CONCURRENCY,
        on_progress: Callable[[Progress], object] | None = None,
    ) -> Iterator[Post]:
        """Posts in the order of their requests, failed ones too (`post.ok`, `post.error`).

        At most `concurrency` are under way, and always fewer than `max_pending_posts`, so that
        none is refused as one too many. Requests are taken from the iterable as they are needed.
        Leaving the loop early cancels what is open.
        """
        from .batch import Window

        engine = self._use()
        queue = _core.EventQueue()
        window = Window(
            requests,
            lambda request: engine.start(encode_request(request), queue),
            self._limit(concurrency),
            on_progress,
        )
        try:
            while True:
                window.fill()
                if (post := window.pop()) is not None:
                    yield post
                elif window.exhausted:
                    return
                else:
                    for call_id, _, event in queue.next(-1, _EVENTS_PER_PULL):
                        window.finish(call_id, Post(reply_of(event)))
        finally:
            window.cancel()

    async def abatch(
        self,
        requests: Iterable[Mapping[str, Any]],
        *,
        concurrency: int = _DEFAULT_CONCURRENCY,
        on_progress: Callable[[Progress], object] | None = None,
    ) -> AsyncIterator[Post]:
        """As batch(), awaited."""
        from .batch import Window

        engine = self._use()
        bridge = engine.bridge()
        arrived = asyncio.Event()

        def start(request: Mapping[str, Any]) -> _core.Call:
            call = engine.start(encode_request(request), bridge.queue)
            bridge.listen(call, listener)
            return call

        def listener(event: dict[str, Any], _: bool) -> None:
            window.finish(event["call_id"], Post(reply_of(event)))
            arrived.set()

        window = Window(requests, start, self._limit(concurrency), on_progress)
        try:
            while True:
                window.fill()
                if (post := window.pop()) is not None:
                    yield post
                elif window.exhausted:
                    return
                else:
                    await arrived.wait()
                    arrived.clear()
        finally:
            window.cancel()

    # --- Care

    def metrics(self) -> dict[str, Any]:
        """Counters since this generator was made."""
        metrics: dict[str, Any] = decode(self._use().native.metrics())
        return metrics

    def metrics_text(self) -> str:
        """The same in the Prometheus text format."""
        from ._prometheus import metrics_text

        return metrics_text(self.metrics())

    def diagnose(self, *, timeout_ms: int = 10_000) -> list[dict[str, str]]:
        """Checks key, provider, store, schema, profiles and cache without paying for anything:
        one dict (subject, level, message) for each. Blocks."""
        diagnoses: list[dict[str, str]] = decode(self._use().native.diagnose(timeout_ms))
        return diagnoses

    def refresh_profiles(self) -> None:
        """The profiles that are cached are read anew at their next use."""
        self._use().native.refresh_profiles()

    def list_spool(self, *, timeout_ms: int = 10_000) -> list[dict[str, Any]]:
        """The posts that wait in the spool, oldest first: for each its row as a dict (the columns
        of post_records) with one more key, refusal: why the store will not have it, "" if it waits.
        Blocks."""
        try:
            posts = self._use().native.list_spool(timeout_ms)
        except _core.Failure as failure:
            raise error_of(failure) from None
        return [decode(row) | {"refusal": refusal} for row, refusal in posts]

    def flush_spool(self, *, timeout_ms: int = 30_000) -> None:
        """Moves what waits in the spool to the store now, and tries once more what the store
        refused before; raises where posts are left. Blocks."""
        try:
            self._use().native.flush_spool(timeout_ms)
        except _core.Failure as failure:
            raise error_of(failure) from None

    def migrate(self, *, timeout_ms: int = 30_000) -> list[str]:
        """Creates or completes the tables of the store; one line for each change. Blocks."""
        try:
            return self._use().native.migrate(timeout_ms)
        except _core.Failure as failure:
            raise error_of(failure) from None

    def close(self, *, drain_ms: int = _DEFAULT_DRAIN_MS) -> None:
        """Takes no new posts, lets running ones finish for `drain_ms`, then cancels the rest.
        Returns when all have ended. Idempotent."""
        with self._lock:
            self._closed = True
        if self._engine is not None:
            self._engine.close(drain_ms)

    async def aclose(self, *, drain_ms: int = _DEFAULT_DRAIN_MS) -> None:
        """As close(), awaited."""
        await asyncio.to_thread(self.close, drain_ms=drain_ms)

    def __enter__(self) -> PostGenerator:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close(drain_ms=_DEFAULT_DRAIN_MS if exc_type is None else 0)

    async def __aenter__(self) -> PostGenerator:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose(drain_ms=_DEFAULT_DRAIN_MS if exc_type is None else 0)

    def __repr__(self) -> str:
        return f"<postgen.PostGenerator {'closed' if self._closed else 'open'}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a PostGenerator holds threads and connections: make one in each process")

    def __copy__(self) -> NoReturn:
        self.__reduce__()

    def __deepcopy__(self, memo: object) -> NoReturn:
        self.__reduce__()

    # --- Inside

    def _use(self) -> Engine:
        """The engine of this process."""
        if self._engine is not None:
            return self._engine
        with self._lock:
            if self._closed:
                raise make_error("the generator is closed", "closed")
            if self._engine is None:
                warnings.warn(
                    "this PostGenerator was made before a fork; the child makes it anew "
                    "(better: make it after the fork)",
                    RuntimeWarning,
                    stacklevel=3,
                )
                self._engine = Engine(self._options_json, self._parts)
            return self._engine

    def _after_fork(self) -> None:
        """In the child. The parent's threads are not here and its sockets are not ours: its engine
        is set aside whole, never closed."""
        self._lock = threading.Lock()
        if self._engine is not None:
            _set_aside.append(self._engine)
            self._engine = None

    def _limit(self, concurrency: int) -> int:
        if concurrency < 1:
            raise ValueError("concurrency must be at least 1")
        return min(concurrency, max(1, self._max_pending - 1))


_live: weakref.WeakSet[PostGenerator] = weakref.WeakSet()
_set_aside: list[Engine] = []

_EXIT_PATIENCE_S = 1.0


def _weight(event: Mapping[str, Any]) -> int:
    return _EVENT_WEIGHT + len(event.get("text", ""))


def _max_pending_posts(options: Mapping[str, Any]) -> int:
    """The checked option; Engine has refused everything that is not such a number."""
    value = options.get("max_pending_posts")
    return _DEFAULT_MAX_PENDING_POSTS if value is None else int(value)


def _close_all() -> None:
    """At exit: posts in flight are cancelled, and threads that wait for them in the engine get the
    time to come back, since taking the GIL of a finished interpreter ends a thread by force."""
    for generator in list(_live):
        generator.close(drain_ms=0)
    patience_ends = time.monotonic() + _EXIT_PATIENCE_S
    while _core.threads_without_gil() > 0 and time.monotonic() < patience_ends:
        time.sleep(0.001)


def _forget_engines() -> None:
    for generator in list(_live):
        generator._after_fork()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_forget_engines)
