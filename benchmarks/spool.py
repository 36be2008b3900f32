#!/usr/bin/env python3
"""A restart with 100,000 posts in the spool: how soon it can be used, and how fast it empties.

A process fills the spool while PostgreSQL is stopped, and is killed. The next one is timed from its
start (imports included) until it has taken over the posts and made one more durable, then from
PostgreSQL's return until all are rows. With --json the figures come as one document.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import postgres
import show
from harness import Figures, bound, machine, progress

from postgen import PostGenerator

POSTS = 100_000
TEXT = "外資連三買，量能沒有跟上，短線先看五日線。" * 15  # about 1 KB
AT_ONCE = 4_000


def main() -> int:
    parser = show.parser(__doc__)
    parser.add_argument("--fill", metavar="FOLDER", help=argparse.SUPPRESS)
    parser.add_argument("--restart", metavar="FOLDER", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.fill:
        fill(options.fill)
    if options.restart:
        return restart(options.restart)
    with tempfile.TemporaryDirectory(prefix="postgen-spool-", dir=Path.cwd() / "build") as folder:
        document = measure(folder)
    show.document(document, as_json=options.json, text=show.facts)
    return 0 if all(entry["ok"] for entry in document["bounds"]) else 1


def measure(folder: str) -> Figures:
    facts = machine()
    with new_generator(folder) as generator:
        generator.migrate()
    postgres.control("stop", "-m", "fast")
    progress(f"spooling {POSTS} posts")
    filled = subprocess.run([sys.executable, __file__, "--fill", folder], check=False)
    if filled.returncode != -signal.SIGKILL:
        raise SystemExit("the spool was not filled")
    size_mb = sum(file.stat().st_size for file in Path(folder).iterdir()) / 2**20
    progress("restarting")
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, __file__, "--restart", folder],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    made: dict[str, Any] = json.loads(process.stdout.readline())
    usable_s = time.monotonic() - started
    progress("moving them to PostgreSQL")
    postgres.control("start")
    returned = time.monotonic()
    process.communicate("go\n")
    moved_s = time.monotonic() - returned
    rows = int(postgres.query("SELECT count(*) FROM post_records"))
    return {
        "benchmark": "spool",
        "machine": facts,
        "facts": {
            "posts": POSTS,
            "the spool's files, MB": round(size_mb),
            "waiting after the restart": made["waiting"],
            "peak memory of the restarted process, MB": round(made["peak_kb"] / 1024),
            "s until all were rows": round(moved_s, 1),
            "rows a second": round(POSTS / moved_s),
        },
        "bounds": [
            bound("s from the start of the process until the spool is usable", usable_s, 2),
            bound("posts lost by the restart", POSTS + 1 - made["waiting"], 0),
            bound("posts without a row, or twice", abs(POSTS + 1 - rows), 0),
        ],
    }


def new_generator(folder: str) -> PostGenerator:
    return PostGenerator(
        llm={"provider": "template"},
        store={"url": postgres.URL, "spool": folder, "spool_max_bytes": 1 << 32},
        max_pending_posts=AT_ONCE + 1,
    )


def request(number: int) -> dict[str, Any]:
    """A post whose text is given: nothing but its storing takes time."""
    return {
        "stock_code": "2330", "kol_serial": 208, "title": f"第 {number} 篇", "content": TEXT,
        "deadline_ms": 120_000,
    }  # fmt: skip


def fill(folder: str) -> None:
    generator = new_generator(folder)
    for post in generator.batch(map(request, range(POSTS)), concurrency=AT_ONCE):
        post.raise_for_error()
    os.kill(os.getpid(), signal.SIGKILL)


def restart(folder: str) -> int:
    with new_generator(folder) as generator:
        generator.generate(request(POSTS))
        status = Path("/proc/self/status").read_text(encoding="ascii")
        peak_kb = int(status.split("VmHWM:")[1].split()[0])
        waiting = generator.metrics()["spool"]["waiting"]
        print(json.dumps({"waiting": waiting, "peak_kb": peak_kb}), flush=True)
        sys.stdin.readline()
        generator.flush_spool(timeout_ms=600_000)
    return 0


if __name__ == "__main__":
    sys.exit(main())
