"""Event loops: many calls with one wake-up, several loops, cancellation."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from typing import Any

import pytest

import postgen
from conftest import Emulator, MakeGenerator, StartEmulator


def thread_count() -> int:
    return len(os.listdir("/proc/self/task"))


async def test_many_calls_take_no_threads(
    start_emulator: StartEmulator, make_generator: MakeGenerator, request_: dict[str, Any]
) -> None:
    emulator = start_emulator("--ttft-ms=50")
    generator = make_generator(emulator)
    await generator.agenerate(request_)
    before = thread_count()
    tasks = [
        asyncio.create_task(generator.agenerate(request_ | {"stock_code": str(1000 + number)}))
        for number in range(64)
    ]
    await asyncio.sleep(0)
    assert thread_count() == before
    posts = await asyncio.gather(*tasks)
    assert [post.reply["stock_info"]["stock_code"] for post in posts] == [
        str(1000 + number) for number in range(64)
    ]
    assert thread_count() == before
    assert emulator.ledger()["max_in_flight"] > 64


async def test_many_streams_keep_each_text_whole(
    start_emulator: StartEmulator, make_generator: MakeGenerator, request_: dict[str, Any]
) -> None:
    generator = make_generator(start_emulator("--tokens-per-s=400"))

    async def text(number: int) -> tuple[str, str]:
        request = request_ | {"stock_code": str(1000 + number), "versions": 1}
        parts = []
        async for event in generator.astream(request):
            if event["type"] == "delta" and event["part"] == "content":
                parts.append(event["text"])
        return "".join(parts), event["result"]["content"]["content"]

    for streamed, final in await asyncio.gather(*(text(number) for number in range(80))):
        assert streamed == final


def test_two_loops_in_two_threads(
    generator: postgen.PostGenerator, request_: dict[str, Any]
) -> None:
    posts: dict[str, list[postgen.Post]] = {}

    async def ten(code: str) -> list[postgen.Post]:
        calls = [
            generator.agenerate(request_ | {"stock_code": f"{code}{number}"})
            for number in range(10)
        ]
        return await asyncio.gather(*calls)

    def run(code: str) -> None:
        posts[code] = asyncio.run(ten(code))

    threads = [threading.Thread(target=run, args=(code,)) for code in ("11", "22")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for code in ("11", "22"):
        codes = [post.reply["stock_info"]["stock_code"] for post in posts[code]]
        assert codes == [f"{code}{number}" for number in range(10)]


def test_one_loop_after_another(generator: postgen.PostGenerator, request_: dict[str, Any]) -> None:
    for number in range(3):
        request = request_ | {"stock_code": str(number)}
        assert asyncio.run(generator.agenerate(request)).ok


async def test_cancelling_the_task_cancels_the_calls(
    start_emulator: StartEmulator, make_generator: MakeGenerator, request_: dict[str, Any]
) -> None:
    emulator = start_emulator("--fail=stall")
    generator = make_generator(emulator)
    task = asyncio.create_task(generator.agenerate(request_))
    await asyncio.to_thread(emulator.wait_for, lambda ledger: ledger["in_flight"] == 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    ledger = await asyncio.to_thread(
        emulator.wait_for, lambda ledger: ledger["aborted_by_client"] == 5
    )
    assert ledger["in_flight"] == 0


async def test_leaving_a_stream_cancels_the_calls(
    start_emulator: StartEmulator, make_generator: MakeGenerator, request_: dict[str, Any]
) -> None:
    emulator = start_emulator("--fail=stall")
    events = make_generator(emulator).astream(request_)
    async for _ in events:
        break
    await events.aclose()  # type: ignore[attr-defined]
    await asyncio.to_thread(emulator.wait_for, lambda ledger: ledger["in_flight"] == 0)


async def test_a_cancel_storm(
    start_emulator: StartEmulator, make_generator: MakeGenerator, request_: dict[str, Any]
) -> None:
    emulator = start_emulator("--ttft-ms=20", "--ttft-sigma=1")
    generator = make_generator(emulator)
    for round_ in range(5):
        tasks = [
            asyncio.create_task(generator.agenerate(request_ | {"stock_code": f"{round_}{n}"}))
            for n in range(40)
        ]
        await asyncio.sleep(0)
        for task in tasks[round_ % 2 :: 2]:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        for index, outcome in enumerate(outcomes):
            if index % 2 == round_ % 2:
                assert isinstance(outcome, asyncio.CancelledError)
            else:
                assert isinstance(outcome, postgen.Post)
    assert (await generator.agenerate(request_)).ok


def test_a_loop_that_is_gone_cancels_what_it_awaited(
    start_emulator: StartEmulator, make_generator: MakeGenerator, request_: dict[str, Any]
) -> None:
    emulator = start_emulator("--fail=stall")
    generator = make_generator(emulator)
    loop = asyncio.new_event_loop()
    task = loop.create_task(generator.agenerate(request_))
    loop.run_until_complete(asyncio.sleep(0))
    emulator.wait_for(lambda ledger: ledger["in_flight"] == 5)
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.close()
    del task, loop
    gc.collect()
    emulator.wait_for(lambda ledger: ledger["in_flight"] == 0)


def test_without_a_loop(generator: postgen.PostGenerator, request_: dict[str, Any]) -> None:
    call = generator.agenerate(request_)
    with pytest.raises(RuntimeError, match="no running event loop"):
        call.send(None)


async def test_closing_ends_what_is_awaited(
    start_emulator: StartEmulator, make_generator: MakeGenerator, request_: dict[str, Any]
) -> None:
    emulator = start_emulator("--fail=stall")
    generator = make_generator(emulator)
    task = asyncio.create_task(generator.agenerate(request_))
    await asyncio.to_thread(emulator.wait_for, lambda ledger: ledger["in_flight"] == 5)
    await generator.aclose(drain_ms=0)
    with pytest.raises(postgen.CancelledError) as caught:
        await task
    assert caught.value.status == 499


async def test_mixed_use(
    generator: postgen.PostGenerator, emulator: Emulator, request_: dict[str, Any]
) -> None:
    """Streams, single posts and batches share a loop's bridge."""

    async def stream() -> str:
        return [str(event["type"]) async for event in generator.astream(request_)][-1]

    async def batch() -> list[bool]:
        requests = [request_ | {"stock_code": str(n)} for n in range(8)]
        return [post.ok async for post in generator.abatch(requests)]

    last, flags, post = await asyncio.gather(stream(), batch(), generator.agenerate(request_))
    assert last == "post"
    assert flags == [True] * 8
    assert post.ok
