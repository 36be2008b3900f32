#!/usr/bin/env python3
"""What four processes on one API key make of its limits: 600 requests and 120,000 tokens a minute.

The emulator enforces the limits; its books tell what share of them was used, how many calls it had
to refuse, and how full the fullest minute was. Cases: a bucket of a minute, one of ten seconds,
Redis killed half-way, and no Redis at all, for comparison. With --json the figures come as one
document.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import show
from harness import RELEASE, ROOT, Figures, bound, machine, progress

HARNESS = ROOT / "tests" / "integration" / "limits_harness.py"
PROCESSES = 4
RPM = 600
TPM = 120_000
SECONDS = 120
# Name, and what differs. Only the first three share.
CASES: dict[str, list[str]] = {
    "shared": [],
    "shared, bucket of 10 s": ["--burst-s", "10"],
    "Redis killed half-way": ["--redis", "kill"],
    "each for itself": ["--redis", "none"],
}


def measure(rounds: int) -> Figures:
    facts = machine()
    cases: dict[str, list[dict[str, Any]]] = {name: [] for name in CASES}
    for number in range(rounds):
        for name, flags in CASES.items():
            progress(f"round {number + 1} of {rounds}: {name}")
            cases[name].append(run(flags))
    bounds = []
    for name in list(CASES)[:3]:
        runs = cases[name]
        calls = sum(one["calls"] for one in runs)
        refused = sum(one["refused"] for one in runs)
        bounds += [
            bound(f"{name}: of the limits used", min(one["used"] for one in runs), 0.95,
                  at_least=True),
            bound(f"{name}: calls refused", refused / calls, 0.005),
            bound(f"{name}: fullest minute, of the limit and one burst",
                  max(max(one["window_requests"], one["window_tokens"]) for one in runs), 1),
        ]  # fmt: skip
    return {
        "benchmark": "limits",
        "machine": facts,
        "rounds": rounds,
        "processes": PROCESSES,
        "rpm": RPM,
        "tpm": TPM,
        "seconds": SECONDS,
        "cases": cases,
        "bounds": bounds,
    }


def run(flags: list[str]) -> dict[str, Any]:
    done = subprocess.run(
        [
            sys.executable, str(HARNESS), "--json",
            "--worker", str(RELEASE / "tests" / "integration" / "postgen_limits_worker"),
            "--emulator", str(RELEASE / "tools" / "emulator" / "postgen-emulator"),
            "--processes", str(PROCESSES), "--rpm", str(RPM), "--tpm", str(TPM),
            "--seconds", str(SECONDS), *flags,
        ],
        stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def text(document: Figures) -> str:
    rows = [
        [
            name,
            f"{one['calls']}",
            f"{one['refused']}",
            f"{one['used']:.2%}",
            f"{max(one['window_requests'], one['window_tokens']):.2%}",
            f"{one['least_process']:.1%}",
        ]
        for name, runs in document["cases"].items()
        for one in runs
    ]
    headings = ["case", "calls", "refused", "used", "fullest minute", "least process"]
    facts = document["machine"]
    return "\n\n".join(
        [
            f"{PROCESSES} processes, {RPM} requests and {TPM} tokens a minute, {SECONDS} s a run",
            show.screen(headings, rows),
            show.screen(*show.bounds(document["bounds"])),
            f"{facts['cpus']} × {facts['cpu']}, {facts['memory_gb']} GB, {facts['system']}; load "
            f"average before: {facts['load_average_before']:.1f}.",
        ]
    )


if __name__ == "__main__":
    sys.exit(show.main(__doc__, measure, text))
