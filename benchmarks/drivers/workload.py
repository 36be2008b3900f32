"""What every Python driver is told and how it reports: workload.h, for Python."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import resource
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--url", required=True)
    parser.add_argument("--model", default="gpt-4o-mini")
    parser.add_argument("--prompt", default="台積電(2330)分析，600 字以內")
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--warmup", type=int, default=64)
    parser.add_argument("--max-tokens", type=int, default=300)
    parser.add_argument("--spread-ms", type=float, default=0)
    parser.add_argument("--stream", action="store_true")
    return parser.parse_args()


class Recorder:
    """The measured part of a run. `deltas` and `bytes` are counted by the driver."""

    def __init__(self, workload: argparse.Namespace) -> None:
        self._workload = workload
        self._rss_before_kb = _memory_kb("VmRSS")
        self.begin()

    def begin(self) -> float:
        self.deltas = 0
        self.failures = 0
        self._call_ms: list[float] = []
        usage = resource.getrusage(resource.RUSAGE_SELF)
        self._cpu_before = (usage.ru_utime, usage.ru_stime)
        self._start = time.perf_counter()
        return self._start

    def ended(self, start: float, *, ok: bool) -> None:
        self._call_ms.append((time.perf_counter() - start) * 1e3)
        if not ok:
            self.failures += 1

    def report(self, driver: str, version: str) -> None:
        wall = time.perf_counter() - self._start
        usage = resource.getrusage(resource.RUSAGE_SELF)
        rss_peak_kb = _memory_kb("VmHWM")
        document = {
            "driver": driver,
            "version": version,
            "calls": len(self._call_ms),
            "failures": self.failures,
            "wall_s": wall,
            "cpu_user_s": usage.ru_utime - self._cpu_before[0],
            "cpu_system_s": usage.ru_stime - self._cpu_before[1],
            "deltas": self.deltas,
            "rss_before_kb": self._rss_before_kb,
            "rss_peak_kb": rss_peak_kb,
            "kb_per_call": (rss_peak_kb - self._rss_before_kb) / self._workload.concurrency,
            "call_ms": _quantiles(self._call_ms),
        }
        print(json.dumps(document), flush=True)


# One call, with this limit of tokens; whether it succeeded.
Call = Callable[[int], Awaitable[bool]]


async def drive(workload: argparse.Namespace, recorder: Recorder, call: Call) -> None:
    """Warms up, then keeps `concurrency` calls open until all have ended."""

    async def succeeds(max_tokens: int) -> bool:
        try:
            return await call(max_tokens)
        except Exception as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            return False

    async def keep_busy(calls: int, max_tokens: int, start: float, spread_s: float) -> None:
        left = itertools.count(calls, -1)

        async def place(number: int) -> None:
            due = start + spread_s * number / workload.concurrency
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            while next(left) > 0:
                recorder.ended(due, ok=await succeeds(max_tokens))
                due = time.perf_counter()

        await asyncio.gather(*(place(number) for number in range(workload.concurrency)))

    await keep_busy(workload.warmup, 1, time.perf_counter(), 0)
    start = recorder.begin()
    await keep_busy(workload.calls, workload.max_tokens, start, workload.spread_ms / 1e3)


def _memory_kb(line: str) -> int:
    """Not ru_maxrss, which remembers the process that started this one."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split(f"{line}:")[1].split()[0])


def _quantiles(values: Sequence[float]) -> dict[str, float]:
    ordered = sorted(values)
    last = len(ordered) - 1
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    return {name: ordered[int(share * last)] for name, share in shares.items()}
