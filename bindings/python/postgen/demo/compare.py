"""Runs both ways over the same requests and keeps the figures."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from .. import _core
from ..generator import PostGenerator
from ..post import Post
from . import app_way
from .app_way import AppPost, Server

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
POSTS_FILE = EXAMPLES / "posts.jsonl"
KOLS_FILE = EXAMPLES / "kols.json"

# The emulated provider. Assumptions, taken so that the app's way costs 20 to 40 s a post, as its
# operators measured with gpt-4o-mini in production; all latencies are divided by the scale.
TIME_SCALE = 20
TTFT_MS = 600
TOKENS_PER_S = 45
EMULATOR_FLAGS = (
    f"--ttft-ms={TTFT_MS}",
    "--ttft-sigma=0.25",
    f"--tokens-per-s={TOKENS_PER_S}",
    "--rate-sigma=0.15",
    f"--time-scale={TIME_SCALE}",
    "--seed=7",
)


class Figures(NamedTuple):
    """Of one way, over all posts."""

    posts: int
    wall_ms: float
    stages_ms: dict[str, float]  # means; with total_time
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None


def read_requests(count: int) -> list[dict[str, Any]]:
    lines = POSTS_FILE.read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines if line][:count]


def run_app_way(
    requests: Sequence[Mapping[str, Any]],
    server: Server,
    database: Path,
    on_post: Callable[[int], object],
) -> Figures:
    """One post after the other, as the app's batches do."""
    app_way.create_database(database, json.loads(KOLS_FILE.read_text(encoding="utf-8")))
    started = time.perf_counter()
    posts: list[AppPost] = []
    for request in requests:
        posts.append(app_way.write_post(request, server, database))
        on_post(len(posts))
    wall_ms = (time.perf_counter() - started) * 1000
    tokens_in = sum(post.prompt_tokens for post in posts)
    tokens_out = sum(post.completion_tokens for post in posts)
    return Figures(
        len(posts),
        wall_ms,
        _means([post.timings_ms for post in posts]),
        tokens_in,
        tokens_out,
        _cost(server.model, tokens_in, tokens_out),
    )


def run_postgen(
    requests: Sequence[Mapping[str, Any]],
    server: Server,
    database: Path,
    on_post: Callable[[int], object],
) -> tuple[Figures, list[Post]]:
    """All posts at once. Raises the error of a post that fails."""
    with PostGenerator(
        llm={
            "base_url": server.base_url,
            "api_key": server.api_key,
            "default_model": server.model,
        },
        store={"url": f"sqlite:{database}"},
        profiles={"url": f"file:{KOLS_FILE}"},
    ) as generator:
        started = time.perf_counter()
        posts = list(
            generator.batch(
                requests,
                concurrency=len(requests),
                on_progress=lambda progress: on_post(progress.finished),
            )
        )
        wall_ms = (time.perf_counter() - started) * 1000
    for post in posts:
        post.raise_for_error()
    costs = [post.cost_usd for post in posts]
    return (
        Figures(
            len(posts),
            wall_ms,
            _means([post.timings_ms for post in posts]),
            sum(post.usage["prompt_tokens"] for post in posts),
            sum(post.usage["completion_tokens"] for post in posts),
            None if None in costs else sum(cost or 0 for cost in costs),
        ),
        posts,
    )


def _means(timings: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {stage: fmean(timing[stage] for timing in timings) for stage in timings[0]}


def _cost(model: str, prompt_tokens: int, completion_tokens: int) -> float | None:
    price = json.loads(_core.prices())["models"].get(model)
    if price is None:
        return None
    return float((prompt_tokens * price["input"] + completion_tokens * price["output"]) / 1_000_000)
