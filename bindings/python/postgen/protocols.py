"""Own parts: objects to use in place of the engine's client, cache or store.

    class Echo:
        async def complete(self, request):
            return "標題：回聲\n內容：" + request["messages"][-1]["content"]

    gen = postgen.PostGenerator(parts={"llm": Echo()})

Methods may be plain functions or coroutine functions. They run on threads that Python started,
never on the engine's: coroutines on one event loop of their own, plain functions on a few workers
beside it. An exception fails the one call that it belongs to; a `postgen.Error` keeps its code.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any, Protocol, TypedDict


class LlmReply(TypedDict, total=False):
    """What `complete` returns; only `text` is required."""

    text: str
    finish_reason: str  # "stop" unless given; "length" marks a text that was cut
    model: str  # as asked unless given
    usage: Mapping[str, int]  # prompt_tokens, completion_tokens, cached_tokens
    request_id: str


class LlmClient(Protocol):
    def complete(self, request: dict[str, Any]) -> str | LlmReply | Awaitable[str | LlmReply]:
        """The model's text for `request`.

        The request holds model, messages (role, content), max_tokens, temperature, timeout_ms,
        posting_type, angle, version_number, stock_code, stock_name and max_words.
        """


class Cache(Protocol):
    def get(self, key: bytes) -> bytes | None | Awaitable[bytes | None]:
        """What was set under `key`, or None. An answer after 20 ms counts as None."""

    def set(self, key: bytes, value: bytes, ttl_s: float) -> None | Awaitable[None]:
        """Keeps `value` for `ttl_s` seconds; 0 forgets the key."""


class Store(Protocol):
    def put(self, row: dict[str, Any]) -> None | Awaitable[None]:
        """Writes one row of post_records, durably; the same row again changes nothing.

        `created_at` is a datetime with its zone; JSON columns are texts.
        """

    def get(self, post_id: str) -> dict[str, Any] | None | Awaitable[dict[str, Any] | None]:
        """The row that was put under `post_id`, or None."""


class Parts(TypedDict, total=False):
    llm: LlmClient
    cache: Cache
    store: Store
