"""One post, by every method."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import postgen
from conftest import Emulator, MakeGenerator

REPLY_KEYS = [
    "success",
    "message",
    "post_id",
    "content",
    "stock_info",
    "kol_info",
    "commodity_tags",
    "alternative_versions",
    "timestamp",
    "postgen",
]
STAGES = [
    "1_parse_request",
    "2_model_selection_db",
    "3_gpt_generation",
    "4_alternative_versions",
    "5_database_write",
]


def check_post(post: postgen.Post, versions: int = 5) -> None:
    assert post.ok
    assert post.error is None
    assert post.status == 200
    assert list(post.reply) == REPLY_KEYS
    assert post.title
    assert post.content
    assert "台積電" in post.title + post.content
    assert [version["version_number"] for version in post.versions] == list(range(1, versions + 1))
    assert all(version["error"] is None for version in post.versions)
    assert len(post.reply["alternative_versions"]) == versions - 1
    assert post.usage["completion_tokens"] > 0
    assert post.cost_usd is not None
    assert post.cost_usd > 0
    stages = [post.timings_ms[stage] for stage in STAGES]
    assert abs(sum(stages) - post.timings_ms["total_time"]) <= 1


def test_generate(generator: postgen.PostGenerator, request_: dict[str, Any]) -> None:
    check_post(generator.generate(request_))


async def test_agenerate(generator: postgen.PostGenerator, request_: dict[str, Any]) -> None:
    check_post(await generator.agenerate(request_))


def test_versions_are_asked_for_at_once(
    start_emulator: Any, make_generator: MakeGenerator, request_: dict[str, Any]
) -> None:
    emulator = start_emulator("--fail=stall")
    generator = make_generator(emulator)
    events = generator.stream(request_)
    next(events)
    assert emulator.wait_for(lambda ledger: ledger["in_flight"] == 5)["max_in_flight"] == 5
    events.close()  # type: ignore[attr-defined]
    emulator.wait_for(lambda ledger: ledger["in_flight"] == 0)


def check_events(events: list[dict[str, Any]]) -> None:
    assert events[-1]["type"] == "post"
    assert [event["type"] for event in events].count("post") == 1
    post = postgen.Post(events[-1]["result"])
    check_post(post, versions=2)
    for version in post.versions:
        mine = [e for e in events if e["version_number"] == version["version_number"]]
        assert mine[0]["type"] == "version_started"
        assert mine[-1]["type"] == "version_done"
        assert mine[-1]["content"] == version["content"]
        deltas = [event for event in mine if event["type"] == "delta"]
        written = {
            part: "".join(delta["text"] for delta in deltas if delta["part"] == part)
            for part in ("title", "content")
        }
        assert written["title"].strip() == version["title"]
        assert written["content"].strip() == version["content"]


def test_stream(generator: postgen.PostGenerator, request_: dict[str, Any]) -> None:
    check_events(list(generator.stream(request_ | {"versions": 2})))


async def test_astream(generator: postgen.PostGenerator, request_: dict[str, Any]) -> None:
    check_events([event async for event in generator.astream(request_ | {"versions": 2})])


def test_the_row_is_stored(
    emulator: Emulator, make_generator: MakeGenerator, request_: dict[str, Any], tmp_path: Path
) -> None:
    database = tmp_path / "posts.db"
    with make_generator(emulator, store={"url": f"sqlite:{database}"}) as generator:
        post = generator.generate(request_)
    assert post.reply["postgen"]["stored"] == "stored"
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT post_id, title, content FROM post_records").fetchall()
    assert rows == [(post.post_id, post.title, post.content)]


def test_a_repeated_request_comes_from_the_cache(
    generator: postgen.PostGenerator, emulator: Emulator, request_: dict[str, Any]
) -> None:
    generator.generate(request_)
    calls = emulator.ledger()["requests_total"]
    again = generator.generate(request_)
    assert emulator.ledger()["requests_total"] == calls
    assert again.reply["postgen"]["from_cache"] is True
    assert again.cost_usd == 0


async def test_context_managers_close(
    emulator: Emulator, make_generator: MakeGenerator, request_: dict[str, Any]
) -> None:
    with make_generator(emulator) as generator:
        check_post(generator.generate(request_))
    async with make_generator(emulator) as other:
        check_post(await other.agenerate(request_))
    for closed in (generator, other):
        with pytest.raises(postgen.Error) as caught:
            closed.generate(request_)
        assert caught.value.code == "closed"
