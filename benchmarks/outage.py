#!/usr/bin/env python3
"""PostgreSQL stopped for 60 s under load: what callers hear, and how soon the rows are there.

Posts come at a steady rate, whatever the others do, from an emulated provider; their profiles are
known and expire in the meantime. The server is stopped as in a crash and started again. With --json
the figures come as one document.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from dataclasses import dataclass
from statistics import median
from typing import Any

import postgres
import show
from harness import Figures, bound, machine, progress

from postgen import Post, PostGenerator
from postgen.cli.emulator import running

RATE_PER_S = 20
BEFORE_S = 5.0
DEADLINE_S = 10.0
PROFILE_TTL_S = 5
KOL = 208
PATIENCE_S = 60.0

REQUEST = {
    "stock_code": "2330",
    "stock_name": "台積電",
    "kol_serial": KOL,
    "max_words": 150,
    "deadline_ms": int(DEADLINE_S * 1e3),
    "cache": "bypass",
}


@dataclass(frozen=True)
class Heard:
    post: Post
    started: float
    ended: float


def main() -> int:
    parser = show.parser(__doc__)
    parser.add_argument("--seconds", type=float, default=60, metavar="N", help="default: 60")
    options = parser.parse_args()
    facts = machine()
    with (
        tempfile.TemporaryDirectory(prefix="postgen-outage-") as spool,
        running("--ttft-ms=450", "--ttft-sigma=0.45", "--tokens-per-s=150") as llm,
        PostGenerator(
            llm={"base_url": llm, "api_key": "bench"},
            store={"url": postgres.URL, "spool": spool},
            profiles={"ttl_s": PROFILE_TTL_S},
        ) as generator,
    ):
        generator.migrate()
        postgres.query(f"INSERT INTO kol_profiles (serial, nickname) VALUES ('{KOL}', '老王')")
        document = asyncio.run(measure(generator, options.seconds)) | {"machine": facts}
    show.document(document, as_json=options.json, text=show.facts)
    return 0 if all(entry["ok"] for entry in document["bounds"]) else 1


async def measure(generator: PostGenerator, seconds: float) -> Figures:
    heard: list[Heard] = []

    async def ask() -> None:
        started = time.monotonic()
        post = await generator.agenerate(REQUEST)
        heard.append(Heard(post, started, time.monotonic()))

    async def load(tasks: set[asyncio.Task[None]]) -> None:
        began = time.monotonic()
        for number in range(1_000_000):
            await asyncio.sleep(max(0.0, began + number / RATE_PER_S - time.monotonic()))
            tasks.add(asyncio.create_task(ask()))

    tasks: set[asyncio.Task[None]] = set()
    loader = asyncio.create_task(load(tasks))
    progress(f"{RATE_PER_S} posts a second")
    await asyncio.sleep(BEFORE_S)
    progress("stopping PostgreSQL")
    await asyncio.to_thread(postgres.control, "stop", "-m", "immediate")
    stopped = time.monotonic()
    await asyncio.sleep(seconds)
    progress("starting PostgreSQL")
    start_asked = time.monotonic()
    await asyncio.to_thread(postgres.control, "start")
    returned = time.monotonic()
    spooled = {h.post.post_id for h in list(heard) if stored(h.post) == "spooled"}
    while not spooled <= (await asyncio.to_thread(rows)).keys():
        if time.monotonic() > returned + PATIENCE_S:
            break
        await asyncio.sleep(0.05)
    all_there = time.monotonic()
    loader.cancel()
    failures = [e for e in await asyncio.gather(*tasks, return_exceptions=True) if e is not None]
    await asyncio.to_thread(generator.flush_spool)

    texts = await asyncio.to_thread(rows)
    # Heard before the start was asked for: from then on a post may be stored.
    while_away = [h for h in heard if h.started > stopped and h.ended < start_asked]
    waits = [h.ended - h.started for h in heard]
    known = [h for h in while_away if any("last known" in text for text in h.post.warnings)]
    not_spooled = sum(stored(h.post) != "spooled" for h in while_away)
    wrong = sum(texts.get(h.post.post_id) != h.post.content for h in heard)
    return {
        "benchmark": "outage",
        "facts": {
            "seconds that PostgreSQL was stopped": round(returned - stopped, 1),
            "posts in all": len(heard),
            "posts begun and ended while it was stopped": len(while_away),
            "of them with the last known profile, read longer ago than its TTL": len(known),
            "posts spooled in all": sum(stored(h.post) == "spooled" for h in heard),
            "median wait while it was stopped, s": round(
                median(h.ended - h.started for h in while_away), 2
            ),
            "median wait before, s": round(
                median(h.ended - h.started for h in heard if h.ended < stopped), 2
            ),
            "longest wait, s": round(max(waits), 2),
            "rows": len(texts),
        },
        "bounds": [
            bound("longest wait over the deadline", max(waits) / DEADLINE_S, 1),
            bound("posts that failed", len(failures), 0),
            bound("posts while it was stopped, reported other than spooled", not_spooled, 0),
            bound("s from its return until every spooled post is a row", all_there - returned, 10),
            bound("posts without a row, or with another text", wrong, 0),
            bound("rows that nobody heard of, or twice", len(texts) - len(heard), 0),
        ],
    }


def stored(post: Post) -> str:
    return str(post.reply["postgen"]["stored"])


def rows() -> dict[str, Any]:
    """post_id -> content."""
    answer = postgres.query(
        "SELECT coalesce(json_object_agg(post_id, content), '{}') FROM post_records"
    )
    texts: dict[str, Any] = json.loads(answer)
    return texts


if __name__ == "__main__":
    sys.exit(main())
