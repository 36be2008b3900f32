#!/usr/bin/env python3
"""What a call costs: postgen beside bare libcurl, bare sockets, and the clients that people use.

calls    64 calls at a time that the emulator answers after exactly 250 ms: CPU of a call, and the
         wall time against the ideal
latency  one call after the other, answered at once: what a client adds to a warm libcurl handle
import   `import postgen` over `import asyncio`, in fresh processes

All clients run in turn against one emulator, whose CPU is counted apart. With --json the figures
come as one document.
"""

from __future__ import annotations

import subprocess
import sys
from statistics import median

import show
from harness import DRIVERS, Figures, alternate, bound, emulator, machine, run

AT_ONCE = 64
CALLS_A_PLACE = 16
CALL_MS = 250
LATENCY_CALLS = 1000
LATENCY_SDK_CALLS = 200
IMPORTS = 31

CALL_DRIVERS = (
    "epoll",
    "libcurl",
    "postgen",
    "postgen-python",
    "aiohttp",
    "openai-python",
    "openai-node",
)
LATENCY_DRIVERS = ("easy", "postgen", "postgen-python", "aiohttp", "openai-python", "openai-node")

_IMPORT = (
    "import time, asyncio; before = time.perf_counter(); import postgen; "
    "print(time.perf_counter() - before)"
)


def measure(rounds: int) -> Figures:
    facts = machine()
    calls = measure_calls(rounds)
    latency = measure_latency(rounds)
    import_ms = measure_import()
    added_us = (latency["postgen"]["call_ms"]["p50"] - latency["easy"]["call_ms"]["p50"]) * 1e3
    ours, floor = calls["postgen"], calls["libcurl"]
    return {
        "benchmark": "client",
        "machine": facts,
        "rounds": rounds,
        "tables": [
            {
                "title": f"{AT_ONCE} calls at a time, each answered after {CALL_MS} ms",
                "key": "calls",
                "columns": ["cpu_us_per_call", "wall_over_ideal", "call_p50_ms", "failures"],
                "base": "libcurl",
                "rows": calls,
            },
            {
                "title": "One call after the other, answered at once",
                "key": "latency",
                "columns": ["call_p50_us", "call_p99_us", "cpu_us_per_call", "failures"],
                "base": "easy",
                "rows": latency,
            },
        ],
        "import_ms": import_ms,
        "bounds": [
            bound(
                "CPU of a call, postgen (C++) over the libcurl loop",
                ours["cpu_us_per_call"] / floor["cpu_us_per_call"],
                2,
            ),
            bound(
                "CPU of a call, openai-python over postgen (C++)",
                calls["openai-python"]["cpu_us_per_call"] / ours["cpu_us_per_call"],
                20,
                at_least=True,
            ),
            bound("latency added to a warm libcurl easy handle, us", added_us, 200),
            bound("`import postgen` over `import asyncio`, ms", import_ms, 15),
        ],
    }


def measure_calls(rounds: int) -> dict[str, Figures]:
    flags = [
        f"--concurrency={AT_ONCE}",
        f"--calls={AT_ONCE * CALLS_A_PLACE}",
        f"--warmup={AT_ONCE}",
        f"--spread-ms={CALL_MS}",
        "--max-tokens=300",
    ]
    with emulator(f"--fixed-ms={CALL_MS}") as server:
        rows = alternate(
            [DRIVERS[key] for key in CALL_DRIVERS],
            rounds,
            lambda driver: run(driver, server, split(flags), None),
        )
    ideal_s = CALL_MS / 1e3 * (CALLS_A_PLACE + 1 - 1 / AT_ONCE)
    for row in rows.values():
        row["wall_over_ideal"] = row["wall_s"] / ideal_s
        row["call_p50_ms"] = row["call_ms"]["p50"]
    return rows


def measure_latency(rounds: int) -> dict[str, Figures]:
    def flags(key: str) -> list[str]:
        calls = LATENCY_CALLS if key in ("easy", "postgen") else LATENCY_SDK_CALLS
        return split(
            ["--concurrency=1", f"--calls={calls}", f"--warmup={calls // 10}", "--max-tokens=300"]
        )

    with emulator("--ttft-ms=0", "--tokens-per-s=0") as server:
        rows = alternate(
            [DRIVERS[key] for key in LATENCY_DRIVERS],
            rounds,
            lambda driver: run(driver, server, flags(driver.key), None),
        )
    for row in rows.values():
        row["call_p50_us"] = row["call_ms"]["p50"] * 1e3
        row["call_p99_us"] = row["call_ms"]["p99"] * 1e3
    return rows


def measure_import() -> float:
    times = [
        float(subprocess.run([sys.executable, "-c", _IMPORT], stdout=-1, check=True).stdout)
        for _ in range(IMPORTS)
    ]
    return median(times) * 1e3


def split(flags: list[str]) -> list[str]:
    """`--flag=value` as two words, which every driver takes."""
    return [word for flag in flags for word in flag.split("=", 1)]


if __name__ == "__main__":
    sys.exit(show.main(__doc__, measure))
