#!/usr/bin/env python3
"""Several processes on one API key against a provider that enforces its limits.

    limits_harness.py --worker FILE --emulator FILE [--rpm 600 --tpm 120000 --seconds 60 ...]

Starts a Redis, the emulator and the processes, which make posts without a pause, and reads the
emulator's books: what share of the limits was used, what share of the calls was refused, and by
how much any window held more than the limit. --redis kill stops Redis half-way, --redis none has
none at all. Ends with status 1 where less than --least-used or more than --most-refused came out.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from typing import Any

MINUTE_S = 60.0
# What a call without a limit of tokens is taken to need, by the emulator.
ASSUMED_TOKENS = 1000


@contextlib.contextmanager
def emulator(program: str, *flags: str) -> Iterator[str]:
    process = subprocess.Popen(
        [program, "--exit-with-parent", *flags],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        assert process.stdout is not None
        greeting = process.stdout.readline()
        if "listening on " not in greeting:
            raise SystemExit("the emulator did not start")
        try:
            yield greeting.split("listening on ")[1].strip()
        finally:
            process.terminate()


@contextlib.contextmanager
def redis() -> Iterator[tuple[str, subprocess.Popen[str]]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="postgen-redis-") as folder:
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1"]
        process = subprocess.Popen(
            [*command, "--save", "", "--dir", folder], stdout=subprocess.PIPE, text=True
        )
        with process:
            assert process.stdout is not None
            if not any("eady to accept connections" in line for line in process.stdout):
                raise SystemExit("redis-server did not start")
            try:
                yield f"redis://127.0.0.1:{port}", process
            finally:
                process.send_signal(signal.SIGKILL)


def most_in_window(events: Sequence[tuple[float, float]], window_s: float) -> float:
    """The largest sum of amounts within any window; `events` are (second, amount), in order."""
    most = total = 0.0
    first = 0
    for at, amount in events:
        total += amount
        while events[first][0] <= at - window_s:
            total -= events[first][1]
            first += 1
        most = max(most, total)
    return most


def measure(options: argparse.Namespace) -> dict[str, Any]:
    flags = [
        f"--rpm={options.rpm}", f"--tpm={options.tpm}", f"--burst-s={options.burst_s}",
        "--ttft-ms=300", "--ttft-sigma=0.3", "--tokens-per-s=150",
    ]  # fmt: skip
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(emulator(options.emulator, *flags))
        settings: dict[str, Any] = {
            "llm": {"base_url": url, "api_key": "sk-limits"},
            "cache": {"url": "none:"},
        }
        server = None
        if options.redis != "none":
            shared, server = stack.enter_context(redis())
            settings["shared"] = {"url": shared}
        workers = [
            subprocess.Popen(
                [options.worker, json.dumps(settings), str(options.seconds), str(options.posts)],
                stdout=subprocess.PIPE, text=True,
            )
            for _ in range(options.processes)
        ]  # fmt: skip
        if options.redis == "kill" and server is not None:
            time.sleep(options.seconds / 2)
            server.send_signal(signal.SIGKILL)
        metrics = [json.loads(worker.communicate()[0]) for worker in workers]
        with urllib.request.urlopen(url.removesuffix("/v1") + "/ledger") as reply:
            ledger = json.load(reply)
    return figures(options, ledger, metrics)


def figures(
    options: argparse.Namespace, ledger: dict[str, Any], metrics: list[dict[str, Any]]
) -> dict[str, Any]:
    calls = ledger["requests"]
    if len(calls) != ledger["requests_total"]:
        raise SystemExit("the emulator has forgotten calls: ask for fewer of them")
    refused = [call for call in calls if call["status"] == 429]
    taken = [call for call in calls if call["status"] == 200]

    def tokens(call: dict[str, Any]) -> float:
        limit = call["max_completion_tokens"] or call["max_tokens"] or ASSUMED_TOKENS
        return float(call["prompt_tokens"] + limit)

    # From the first call on, with a full bucket, until the processes stopped.
    began = min(call["started_ms"] for call in calls) / 1e3
    ended = max(call["started_ms"] for call in calls) / 1e3
    allowed_minutes = (ended - began + options.burst_s) / MINUTE_S
    used_requests = len(taken) / (options.rpm * allowed_minutes)
    used_tokens = sum(map(tokens, taken)) / (options.tpm * allowed_minutes)
    window_s = min(MINUTE_S, options.seconds / 2)
    window = window_s / MINUTE_S
    burst = options.burst_s / MINUTE_S
    sent = [(call["started_ms"] / 1e3, 1.0) for call in calls]
    paid = [(call["started_ms"] / 1e3, tokens(call)) for call in taken]
    shares = [0] * len(metrics)
    for i, one in enumerate(metrics):
        shares[i] = one["llm"]["sent"]
    return {
        "calls": len(calls),
        "refused": len(refused),
        "used": max(used_requests, used_tokens),
        "used_requests": used_requests,
        "used_tokens": used_tokens,
        "refused_share": len(refused) / len(calls),
        # Sent within any window, refused ones included, by what it may hold with one burst.
        "window_requests": most_in_window(sent, window_s) / (options.rpm * (window + burst)),
        "window_tokens": most_in_window(paid, window_s) / (options.tpm * (window + burst)),
        "least_process": min(shares) / max(sum(shares), 1),
        "seconds": ended - began,
    }


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--worker", required=True)
    parser.add_argument("--emulator", required=True)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--posts", type=int, default=20, help="at a time in each process")
    parser.add_argument("--rpm", type=int, default=600)
    parser.add_argument("--tpm", type=int, default=120000)
    parser.add_argument("--burst-s", type=float, default=60)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--redis", choices=["on", "kill", "none"], default="on")
    parser.add_argument("--least-used", type=float, default=0)
    parser.add_argument("--most-refused", type=float, default=1)
    parser.add_argument("--json", action="store_true")
    return parser


def main() -> int:
    options = arguments().parse_args()
    found = measure(options)
    if options.json:
        print(json.dumps(found))
        return 0
    for name, value in found.items():
        print(f"{name:<16} {value:.4f}" if isinstance(value, float) else f"{name:<16} {value}")
    good = (
        found["used"] >= options.least_used
        and found["refused_share"] <= options.most_refused
        # One more call may be on its way at either end of a window.
        and found["window_requests"] <= 1.01
        and found["window_tokens"] <= 1.01
    )
    print("all is well" if good else "NOT WELL")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
