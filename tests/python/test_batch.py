"""Many posts in order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import postgen
from conftest import Emulator, MakeGenerator, StartEmulator


def codes(posts: list[postgen.Post]) -> list[str]:
    return [post.reply["stock_info"]["stock_code"] for post in posts]


def test_order_and_progress(
    start_emulator: StartEmulator, make_generator: MakeGenerator, request_: dict[str, Any]
) -> None:
    generator = make_generator(start_emulator("--ttft-ms=10", "--ttft-sigma=1.5"))
    seen: list[postgen.Progress] = []
    requests = [request_ | {"stock_code": str(1000 + n)} for n in range(30)]
    posts = list(generator.batch(requests, on_progress=seen.append))
    assert codes(posts) == [request["stock_code"] for request in requests]
    assert [progress.finished for progress in seen] == list(range(1, 31))
    assert {progress.total for progress in seen} == {30}
    assert seen[-1].failed == 0
    assert seen[-1].cost_usd == pytest.approx(sum(post.cost_usd or 0 for post in posts))


async def test_abatch(generator: postgen.PostGenerator, request_: dict[str, Any]) -> None:
    requests = [request_ | {"stock_code": str(1000 + n)} for n in range(30)]
    posts = [post async for post in generator.abatch(requests, concurrency=7)]
    assert codes(posts) == [request["stock_code"] for request in requests]


def test_failed_posts_keep_their_places(
    generator: postgen.PostGenerator, request_: dict[str, Any]
) -> None:
    requests = [request_, {"stock_code": "2330"}, request_ | {"stock_name": "\ud800"}, request_]
    posts = list(generator.batch(requests))
    assert [post.ok for post in posts] == [True, False, False, True]
    assert [post.error.code for post in posts if post.error] == ["invalid_request"] * 2
    assert posts[1].error is not None
    assert posts[1].error.details["field"] == "kol_serial"
    assert posts[1].status == 400


def test_a_bounded_number_is_in_flight(
    start_emulator: StartEmulator, make_generator: MakeGenerator, request_: dict[str, Any]
) -> None:
    """Requests are taken as they are needed, and no more posts started than allowed."""
    emulator = start_emulator("--ttft-ms=5")
    generator = make_generator(emulator, max_pending_posts=4)
    taken = 0

    def requests() -> Iterator[dict[str, Any]]:
        nonlocal taken
        for number in range(40):
            taken += 1
            yield request_ | {"stock_code": str(number), "versions": 1}

    posts = generator.batch(requests(), concurrency=1000)
    assert next(posts).ok
    assert taken < 40
    assert all(post.ok for post in posts)
    assert 1 < emulator.ledger()["max_in_flight"] < 4


def test_leaving_cancels_what_is_open(
    start_emulator: StartEmulator, make_generator: MakeGenerator, request_: dict[str, Any]
) -> None:
    emulator = start_emulator("--fail=stall@2")
    generator = make_generator(emulator)
    requests = [request_ | {"stock_code": str(n), "versions": 1} for n in range(6)]
    posts = generator.batch(requests)
    next(posts)
    posts.close()  # type: ignore[attr-defined]
    emulator.wait_for(lambda ledger: ledger["in_flight"] == 0)


def test_an_empty_batch(generator: postgen.PostGenerator) -> None:
    assert list(generator.batch([])) == []


def test_concurrency_is_checked(emulator: Emulator, make_generator: MakeGenerator) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        next(make_generator(emulator).batch([], concurrency=0))
