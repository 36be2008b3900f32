#!/usr/bin/env python3
"""What an answer from the cache costs.

hit     one entry of 1 KB, its key at hand: postgen's memory cache by its public header, beside
        cachetools, and redis-py on a Redis of its own
post    a whole `generate` of five cached versions, no store, in C++ and from Python

All run in turn. With --json the figures come as one document.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import show
from harness import DRIVERS, Driver, Figures, alternate, bound, emulator, machine, report

POSTGEN = ("cache", "cache-python")
OTHERS = ("cachetools", "redis-py")
START_LIMIT_S = 10


def measure(rounds: int) -> Figures:
    facts = machine()
    with emulator("--ttft-ms=0", "--tokens-per-s=0") as server, redis_server() as redis_url:

        def one(driver: Driver) -> Figures:
            return report(driver, redis_url if driver.key == "redis-py" else server.url)

        rows = alternate([DRIVERS[key] for key in (*POSTGEN, *OTHERS)], rounds, one)
    return {
        "benchmark": "cache",
        "machine": facts,
        "rounds": rounds,
        "tables": [
            {
                "title": "One hit",
                "key": "hit",
                "columns": ["hit_us", "failures"],
                "base": "cache",
                "rows": {key: rows[key] for key in ("cache", *OTHERS)},
            },
            {
                "title": "A whole post of five versions",
                "key": "post",
                "columns": ["generate_us", "generate_p99_us", "failures"],
                "base": "cache",
                "rows": {key: rows[key] for key in POSTGEN},
            },
        ],
        "bounds": [
            bound("a hit in the memory cache, C++, us", rows["cache"]["hit_us"], 1),
            bound("a post from the cache, C++, us", rows["cache"]["generate_us"], 50),
            bound("a post from the cache, Python, us", rows["cache-python"]["generate_us"], 150),
        ],
    }


@contextmanager
def redis_server() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="bench-redis-") as folder:
        socket = Path(folder, "socket")
        command = ["redis-server", "--port", "0", "--unixsocket", str(socket), "--save", ""]
        with subprocess.Popen([*command, "--dir", folder], stdout=subprocess.DEVNULL) as process:
            until = time.monotonic() + START_LIMIT_S
            while not socket.exists():
                if process.poll() is not None or time.monotonic() > until:
                    raise SystemExit("redis-server did not start")
                time.sleep(0.01)
            try:
                yield f"unix://{socket}"
            finally:
                process.terminate()


if __name__ == "__main__":
    sys.exit(show.main(__doc__, measure))
