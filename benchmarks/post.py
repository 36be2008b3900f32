#!/usr/bin/env python3
"""How long a post takes: postgen beside the app's way, on the same emulated provider, in one run.

flat     every call takes exactly 1 s: a five-version post over one call, and over the app's way
report   0.45 s to the first token (lognormal, sigma 0.45), 75 tokens/s (sigma 0.25), over TLS:
         p50 and p95 of a post, interaction/150 and analysis/200, beside the app's way
batch    ten posts at once on the report's provider

Latencies are assumptions about a provider, not measurements of one. All times are real: nothing is
scaled. With --json the figures come as one document.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

from postgen import PostGenerator
from postgen.cli.emulator import running
from postgen.demo import app_way
from postgen.demo.app_way import Server
from postgen.demo.compare import KOLS_FILE, read_requests

MODEL = "gpt-4o-mini"
FLAT_ROUNDS = 5
REPORT_POSTS = 60
REPORT_APP_POSTS = 12
AT_ONCE = 6
BATCH_POSTS = 10

REPORT_FLAGS = (
    "--ttft-ms=450",
    "--ttft-sigma=0.45",
    "--tokens-per-s=75",
    "--rate-sigma=0.25",
    "--seed=11",
)


def main() -> int:
    as_json = sys.argv[1:] == ["--json"]
    if sys.argv[1:] and not as_json:
        print("usage: post.py [--json]", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="postgen-bench-") as folder:
        flat = measure_flat(Path(folder))
        report, batch = measure_report(Path(folder))
    document = {"machine": machine(), "flat": flat, "report": report, "batch": batch}
    if as_json:
        print(json.dumps(document, indent=2))
    else:
        show(document)
    return 0


def measure_flat(folder: Path) -> dict[str, float]:
    request = read_requests(1)[0]
    with running("--fixed-ms=1000") as url, generator_for(url, folder / "flat.db") as generator:
        server = Server(url, "bench", MODEL)
        generator.generate(request | {"cache": "bypass"})  # opens the connections
        calls, posts, app_posts = [], [], []
        for round_number in range(FLAT_ROUNDS):
            calls.append(seconds(lambda: app_way.call(server, "一句話就好。")))
            posts.append(seconds(lambda: generator.generate(request | {"cache": "bypass"})))
            database = folder / f"flat-app-{round_number}.db"
            app_posts.append(app_post(request, server, database))
    return {
        "call_s": median(calls),
        "post_s": median(posts),
        "app_post_s": median(app_posts),
        "post_over_call": median(posts) / median(calls),
        "app_over_post": median(app_posts) / median(posts),
    }


def measure_report(folder: Path) -> tuple[list[dict[str, Any]], dict[str, float]]:
    ca_file = folder / "ca.pem"
    rows = []
    with running(*REPORT_FLAGS, "--tls", f"--tls-ca-out={ca_file}") as url:
        os.environ["SSL_CERT_FILE"] = str(ca_file)  # for the app's way, which uses Python's ssl
        server = Server(url, "bench", MODEL)
        options = {"ca_file": str(ca_file)}
        with generator_for(url, folder / "report.db", **options) as generator:
            for posting_type, max_words in (("interaction", 150), ("analysis", 200)):
                requests = [
                    request | {"posting_type": posting_type, "max_words": max_words}
                    for request in repeated(read_requests(BATCH_POSTS), REPORT_POSTS)
                ]
                ours = at_once(lambda request: our_post(generator, request), requests)
                databases = iter(folder / f"{posting_type}-{i}.db" for i in range(len(requests)))
                theirs = at_once(
                    lambda request, names=databases: app_post(request, server, next(names)),
                    requests[:REPORT_APP_POSTS],
                )
                rows.append(
                    {
                        "posting_type": posting_type,
                        "max_words": max_words,
                        "posts": len(ours),
                        "p50_s": quantile(ours, 0.50),
                        "p95_s": quantile(ours, 0.95),
                        "app_posts": len(theirs),
                        "app_p50_s": quantile(theirs, 0.50),
                        "app_p95_s": quantile(theirs, 0.95),
                    }
                )
            requests = [request | {"cache": "bypass"} for request in read_requests(BATCH_POSTS)]
            batch_s = seconds(
                lambda: [post.raise_for_error() for post in generator.batch(requests)]
            )
    return rows, {"posts": BATCH_POSTS, "wall_s": batch_s}


def generator_for(url: str, database: Path, **llm: Any) -> PostGenerator:
    return PostGenerator(
        llm={"base_url": url, "api_key": "bench", "default_model": MODEL} | llm,
        store={"url": f"sqlite:{database}"},
        profiles={"url": f"file:{KOLS_FILE}"},
    )


def our_post(generator: PostGenerator, request: dict[str, Any]) -> float:
    return seconds(lambda: generator.generate(request | {"cache": "bypass"}))


def app_post(request: dict[str, Any], server: Server, database: Path) -> float:
    app_way.create_database(database, json.loads(KOLS_FILE.read_text(encoding="utf-8")))
    return seconds(lambda: app_way.write_post(request, server, database))


def at_once(
    measure: Callable[[dict[str, Any]], float], requests: Sequence[dict[str, Any]]
) -> list[float]:
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return list(threads.map(measure, requests))


def repeated(items: Sequence[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    return [items[i % len(items)] for i in range(count)]


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def quantile(values: Sequence[float], share: float) -> float:
    """Nearest rank: the smallest value that `share` of all values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1)]


def machine() -> dict[str, Any]:
    return {
        "cpus": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def show(document: dict[str, Any]) -> None:
    flat, batch = document["flat"], document["batch"]
    print("Every call takes 1 s (medians):")
    print(f"  one call              {flat['call_s']:7.3f} s")
    print(
        f"  a post, five versions {flat['post_s']:7.3f} s   {flat['post_over_call']:.3f} x one call"
    )
    print(
        f"  the app's way         {flat['app_post_s']:7.3f} s"
        f"   {flat['app_over_post']:.2f} x as long as postgen"
    )
    print("\nFirst token 0.45 s, 75 tokens/s, over TLS:")
    for row in document["report"]:
        print(
            f"  {row['posting_type']}/{row['max_words']}: p50 {row['p50_s']:.2f} s, "
            f"p95 {row['p95_s']:.2f} s ({row['posts']} posts); the app's way: p50 "
            f"{row['app_p50_s']:.1f} s, p95 {row['app_p95_s']:.1f} s ({row['app_posts']} posts)"
        )
    print(f"  {batch['posts']} posts at once: {batch['wall_s']:.2f} s")
    facts = document["machine"]
    print(f"\n{facts['cpus']} CPUs, {facts['system']}, Python {facts['python']}")


if __name__ == "__main__":
    sys.exit(main())
