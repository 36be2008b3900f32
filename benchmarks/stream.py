#!/usr/bin/env python3
"""What a stream costs: postgen beside bare libcurl, bare sockets, and the clients that people use.

full     500 streams of 300 tokens at 80 tokens/s, a token a chunk: CPU of a token, stream time
         against the ideal, memory; and, in runs of its own, how late deltas are
small    the clients that do not keep up with 500, each at the number it keeps up with (halved until
         its median stream is within 5 % of the ideal), and postgen at the same numbers
wide     2,000 such streams, four tokens a chunk
reach    more and more of them, sixteen tokens a chunk, until it ends
deltas   how many deltas a second come out of postgen's `astream`, when nothing paces them

All clients run in turn against one emulator, whose CPU is counted apart. With --json the figures
come as one document.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable

import show
from harness import (
    BENCHMARKS,
    DRIVERS,
    Driver,
    Figures,
    Pace,
    alternate,
    bound,
    emulator,
    machine,
    medians,
    progress,
    run,
)

TOKENS = 300
SPREAD_MS = 1000
FULL = 500
FULL_PACE = Pace(ttft_ms=400, tokens_per_s=80)
WIDE = 2000
WIDE_PACE = Pace(ttft_ms=400, tokens_per_s=80, tokens_per_chunk=4)

REACH = (2000, 4000, 6000, 8000)
REACH_PACE = Pace(ttft_ms=400, tokens_per_s=80, tokens_per_chunk=16)
REACH_KEEPS_UP = 1.1

FLOORS = ("epoll", "libcurl")
POSTGEN = ("postgen", "postgen-python")
SDKS = ("aiohttp", "openai-python", "openai-node")

KEEPS_UP = 1.05
FEWEST = 7

COLUMNS = (
    "cpu_us_per_token",
    "time_over_ideal",
    "kb_per_call",
    "cores",
    "emulator_cores",
    "failures",
)


def measure(rounds: int) -> Figures:
    facts = machine()
    with emulator(*FULL_PACE.emulator_flags()) as server:

        def at(streams: int, driver: Driver, *more: str) -> Figures:
            return run(driver, server, flags(streams, *more), FULL_PACE)

        full = alternate(
            [DRIVERS[key] for key in (*FLOORS, *POSTGEN)], rounds, lambda d: at(FULL, d)
        )
        lateness = alternate(
            [DRIVERS[key] for key in (*FLOORS, "postgen")],
            rounds,
            lambda d: at(FULL, d, "--lateness", *FULL_PACE.driver_flags()),
        )
        small = measure_small(rounds, at)
    for key, row in lateness.items():
        full[key]["late_p50_ms"] = row["late_ms"]["p50"]
        full[key]["late_p99_ms"] = row["late_ms"]["p99"]
    with emulator(*WIDE_PACE.emulator_flags()) as server:
        wide = alternate(
            [DRIVERS[key] for key in (*FLOORS, "postgen")],
            rounds,
            lambda d: run(d, server, flags(WIDE), WIDE_PACE),
        )
    reach = measure_reach()
    deltas = measure_deltas(rounds)
    return {
        "benchmark": "stream",
        "machine": facts,
        "rounds": rounds,
        "tables": [
            {
                "title": f"{FULL} streams, {TOKENS} tokens each, 80 tokens/s, a token a chunk",
                "key": "full",
                "columns": [
                    "cpu_us_per_token",
                    "time_over_ideal",
                    "late_p50_ms",
                    "late_p99_ms",
                    "kb_per_call",
                    "cores",
                    "emulator_cores",
                    "failures",
                ],
                "base": "libcurl",
                "rows": full,
            },
            {
                "title": "The same, with as many streams as each client keeps up with",
                "key": "small",
                "columns": [
                    "streams",
                    "cpu_us_per_token",
                    "time_over_ideal",
                    "kb_per_call",
                    "cores",
                    "failures",
                ],
                "rows": small,
                "notes": [note for key in SDKS if (note := small[key].pop("note"))],
            },
            {
                "title": f"{WIDE} streams, four tokens a chunk",
                "key": "wide",
                "columns": COLUMNS,
                "base": "libcurl",
                "rows": wide,
            },
            {
                "title": "More streams, sixteen tokens a chunk (one run each)",
                "key": "reach",
                "columns": ["streams", *COLUMNS],
                "rows": reach,
                "notes": [end_of(reach)],
            },
        ],
        "deltas": deltas,
        "bounds": bounds(full, small, wide, deltas),
    }


def bounds(
    full: dict[str, Figures],
    small: dict[str, Figures],
    wide: dict[str, Figures],
    deltas: Figures,
) -> list[Figures]:
    ours, floor = full["postgen"], full["libcurl"]
    return [
        bound(f"{FULL} streams: stream time over the ideal", ours["time_over_ideal"], 1.05),
        bound(
            f"{FULL} streams: CPU of a token, postgen (C++) over the libcurl loop",
            ours["cpu_us_per_token"] / floor["cpu_us_per_token"],
            0.6,
        ),
        bound(
            f"{FULL} streams: deltas later than the libcurl loop has them (p99), ms",
            ours["late_p99_ms"] - floor["late_p99_ms"],
            20,
        ),
        bound(
            "CPU of a token, openai-python over postgen (C++), at as many streams",
            small["openai-python"]["cpu_us_per_token"]
            / small["postgen@openai-python"]["cpu_us_per_token"],
            15,
            at_least=True,
        ),
        bound(
            f"{WIDE} streams: stream time over the ideal", wide["postgen"]["time_over_ideal"], 1.1
        ),
        bound(
            f"{FULL} streams: memory a stream above the libcurl loop, KB",
            ours["kb_per_call"] - floor["kb_per_call"],
            10,
        ),
        bound("deltas a second through `astream`", deltas["deltas_per_s"], 200_000, at_least=True),
    ]


def measure_small(rounds: int, at: Callable[[int, Driver], Figures]) -> dict[str, Figures]:
    """Each SDK at the number of streams that it keeps up with, and postgen beside it."""
    rows: dict[str, Figures] = {}
    for key in SDKS:
        streams, note = FULL, ""
        while (tried := at(streams, DRIVERS[key]))["time_over_ideal"] > KEEPS_UP:
            slowness = f"{tried['time_over_ideal']:.2f} times the ideal at {streams} streams"
            note = (
                note
                or f"{DRIVERS[key].title} does not keep up: its median stream takes {slowness}."
            )
            progress(f"{key}: {slowness}")
            if streams // 2 < FEWEST:
                break
            streams //= 2
        pair = alternate(
            [DRIVERS[key], DRIVERS["postgen"], DRIVERS["postgen-python"]],
            rounds,
            lambda driver, streams=streams: at(streams, driver),
        )
        for name, row in pair.items():
            rows[name if name == key else f"{name}@{key}"] = row | {"streams": streams}
        rows[key]["note"] = note
    return rows


def measure_reach() -> dict[str, Figures]:
    rows = {}
    with emulator(*REACH_PACE.emulator_flags()) as server:
        for streams in REACH:
            progress(f"{streams} streams")
            more = ("--spread-ms", str(2 * SPREAD_MS))
            row = run(DRIVERS["postgen"], server, flags(streams, *more), REACH_PACE)
            rows[f"postgen@{streams}"] = row | {"streams": streams}
            if row["time_over_ideal"] > REACH_KEEPS_UP:
                break
    return rows


def end_of(reach: dict[str, Figures]) -> str:
    """Where one reactor ends, and what ends it."""
    last = list(reach.values())[-1]
    use = (
        f"the client uses {last['cores']:.2f} cores and the emulator {last['emulator_cores']:.2f} "
        f"of {os.cpu_count()}"
    )
    if last["time_over_ideal"] <= REACH_KEEPS_UP:
        return f"Still within 10 % of the ideal with {last['streams']}, where {use}."
    return f"It ends before {last['streams']} streams, where {use}."


def measure_deltas(rounds: int) -> Figures:
    reports = []
    for number in range(rounds):
        progress(f"round {number + 1} of {rounds}: deltas through astream")
        reports.append(run_deltas())
    return medians(reports)


def run_deltas() -> Figures:
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "drivers" / "postgen_deltas.py")],
        stdout=subprocess.PIPE,
        check=True,
    )
    figures: Figures = json.loads(done.stdout)
    return figures


def flags(streams: int, *more: str) -> list[str]:
    return [
        *("--concurrency", str(streams), "--calls", str(streams), "--warmup", str(streams)),
        *("--spread-ms", str(SPREAD_MS), "--max-tokens", str(TOKENS), "--stream"),
        *more,
    ]


if __name__ == "__main__":
    sys.exit(show.main(__doc__, measure))
