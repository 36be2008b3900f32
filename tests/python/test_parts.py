"""Own parts: called on Python's threads, answered, cancelled, failing."""

from __future__ import annotations

import asyncio
import threading
from datetime import datetime
from typing import Any

import pytest

import postgen

TEXT = "標題：台積電的一天\n內容：今天的台積電走得很穩，量能配合，短線先看月線，長線看展望。"


class Client:
    """Keeps what it is asked and on which threads."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.threads: set[str] = set()

    async def complete(self, request: dict[str, Any]) -> Any:
        self.requests.append(request)
        self.threads.add(threading.current_thread().name)
        return {"text": TEXT, "usage": {"prompt_tokens": 10, "completion_tokens": 20}}


class PlainClient(Client):
    def complete(self, request: dict[str, Any]) -> Any:
        self.requests.append(request)
        self.threads.add(threading.current_thread().name)
        return TEXT


class Store:
    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Any]] = {}

    def put(self, row: dict[str, Any]) -> None:
        self.rows[row["post_id"]] = row

    def get(self, post_id: str) -> dict[str, Any] | None:
        return self.rows.get(post_id)


class Cache:
    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}
        self.hits = 0

    def get(self, key: bytes) -> bytes | None:
        value = self.values.get(key)
        self.hits += value is not None
        return value

    async def set(self, key: bytes, value: bytes, ttl_s: float) -> None:
        assert ttl_s > 0
        self.values[key] = value


@pytest.mark.parametrize("client_class", [Client, PlainClient])
def test_own_client(client_class: type[Client], request_: dict[str, Any]) -> None:
    client = client_class()
    with postgen.PostGenerator(parts={"llm": client}) as generator:
        post = generator.generate(request_)
    assert post.reply["postgen"]["provider"] == "custom"
    assert post.title == "台積電的一天"
    assert len(client.requests) == 5
    assert client.requests[0]["messages"][-1]["role"] == "user"
    assert threading.main_thread().name not in client.threads
    if client_class is Client:
        assert post.usage["completion_tokens"] == 100


async def test_own_client_in_a_stream(request_: dict[str, Any]) -> None:
    async with postgen.PostGenerator(parts={"llm": Client()}) as generator:
        events = [event async for event in generator.astream(request_ | {"versions": 1})]
    assert [event["type"] for event in events if event["type"] != "delta"] == [
        "version_started",
        "version_done",
        "post",
    ]


def test_own_store(request_: dict[str, Any]) -> None:
    store = Store()
    with postgen.PostGenerator(parts={"llm": Client(), "store": store}) as generator:
        post = generator.generate(request_)
        assert generator.migrate() == []
    row = store.rows[post.post_id]
    assert row["title"] == post.title
    assert isinstance(row["created_at"], datetime)
    assert row["created_at"].tzinfo is not None
    assert post.reply["postgen"]["stored"] == "stored"


def test_own_cache(request_: dict[str, Any]) -> None:
    client, cache = Client(), Cache()
    with postgen.PostGenerator(parts={"llm": client, "cache": cache}) as generator:
        generator.generate(request_)
        assert cache.hits == 0
        again = generator.generate(request_)
    assert cache.hits == 5
    assert len(client.requests) == 5
    assert again.reply["postgen"]["from_cache"] is True


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (RuntimeError("secret prompt"), "upstream"),
        (postgen.RateLimitError("slow down", code="rate_limited"), "rate_limited"),
    ],
)
def test_a_client_that_raises(
    raised: Exception, code: str, request_: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    class Failing:
        def complete(self, request: dict[str, Any]) -> str:
            raise raised

    with (
        postgen.PostGenerator(parts={"llm": Failing()}) as generator,
        pytest.raises(postgen.Error) as caught,
    ):
        generator.generate(request_)
    assert caught.value.code == code
    assert "secret" not in str(caught.value.reply)


@pytest.mark.parametrize("answer", [None, 3, {"finish_reason": "stop"}, {"text": 3}, {"text": ""}])
def test_a_client_that_answers_nonsense(
    answer: Any, request_: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    class Odd:
        def complete(self, request: dict[str, Any]) -> Any:
            return answer

    with (
        postgen.PostGenerator(parts={"llm": Odd()}) as generator,
        pytest.raises(postgen.Error) as caught,
    ):
        generator.generate(request_)
    assert caught.value.code in ("upstream", "protocol")


async def test_cancelling_reaches_the_client(request_: dict[str, Any]) -> None:
    started = threading.Semaphore(0)
    cancelled = threading.Semaphore(0)

    class Slow:
        async def complete(self, request: dict[str, Any]) -> str:
            started.release()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.release()
                raise
            return TEXT

    async with postgen.PostGenerator(parts={"llm": Slow()}) as generator:
        task = asyncio.create_task(generator.agenerate(request_))
        for _ in range(5):
            assert await asyncio.to_thread(started.acquire, timeout=30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        for _ in range(5):
            assert await asyncio.to_thread(cancelled.acquire, timeout=30)


def test_a_store_that_fails(request_: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Store):
        def put(self, row: dict[str, Any]) -> None:
            raise OSError("disk full")

    with (
        postgen.PostGenerator(parts={"llm": Client(), "store": Broken()}) as generator,
        pytest.raises(postgen.StoreError),
    ):
        generator.generate(request_)


@pytest.mark.parametrize(
    "parts", [{"llm": object()}, {"cache": Store()}, {"modle": Client()}, {"store": None}]
)
def test_parts_are_checked(parts: Any) -> None:
    with pytest.raises(TypeError):
        postgen.PostGenerator(parts=parts)
