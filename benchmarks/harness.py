"""Runs drivers side by side against one emulator and puts their figures together."""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

BENCHMARKS = Path(__file__).resolve().parent
ROOT = BENCHMARKS.parent
RELEASE = ROOT / "build" / "release"
NODE_FOLDER = ROOT / "build" / "bench" / "node"

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_RUN_LIMIT_S = 300

# A driver's report with what the harness adds, or figures made of several.
Figures = dict[str, Any]


@dataclass(frozen=True)
class Driver:
    key: str
    title: str
    command: tuple[str, ...]
    folder: Path = ROOT


def _program(name: str) -> tuple[str, ...]:
    return (str(RELEASE / "benchmarks" / f"bench-{name}"),)


def _python(name: str) -> tuple[str, ...]:
    return (sys.executable, str(BENCHMARKS / "drivers" / f"{name}.py"))


DRIVERS = {
    driver.key: driver
    for driver in (
        Driver("epoll", "epoll loop (floor)", _program("epoll-loop")),
        Driver("libcurl", "libcurl multi loop (floor)", _program("curl-loop")),
        Driver("easy", "libcurl easy handle (floor)", _program("curl-easy")),
        Driver("postgen", "postgen, C++", _program("postgen")),
        Driver("postgen-python", "postgen, Python", _python("postgen_python")),
        Driver("aiohttp", "aiohttp", _python("aiohttp_client")),
        Driver("openai-python", "openai-python", _python("openai_python")),
        Driver(
            "openai-node",
            "openai for Node",
            ("node", str(BENCHMARKS / "drivers" / "openai_node.mjs")),
            NODE_FOLDER,
        ),
        Driver("cache", "postgen, C++", _program("cache")),
        Driver("cache-python", "postgen, Python", (*_python("cache_python"), "postgen")),
        Driver("cachetools", "cachetools", (*_python("cache_python"), "cachetools")),
        Driver("redis-py", "redis-py, Redis beside it", (*_python("cache_python"), "redis-py")),
    )
}


class Emulator:
    """A running emulator."""

    def __init__(self, url: str, pid: int) -> None:
        self.url = url
        self._base = url.removesuffix("/v1")
        self._pid = pid

    def reset(self) -> None:
        """Empties the ledger; the next run meets the same luck as the one before."""
        request = urllib.request.Request(f"{self._base}/ledger/reset", method="POST", data=b"")
        urllib.request.urlopen(request).close()

    def ledger(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self._base}/ledger") as reply:
            ledger: dict[str, Any] = json.load(reply)
        return ledger

    def cpu_s(self) -> float:
        stat = Path(f"/proc/{self._pid}/stat").read_text(encoding="ascii")
        fields = stat[stat.rindex(")") + 2 :].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


@contextmanager
def emulator(*flags: str) -> Iterator[Emulator]:
    program = RELEASE / "tools" / "emulator" / "postgen-emulator"
    process = subprocess.Popen(
        [program, "--exit-with-parent", *flags],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=_raise_descriptor_limit,
    )
    with process:
        assert process.stdout is not None
        greeting = process.stdout.readline()
        if "listening on " not in greeting:
            raise SystemExit("the emulator did not start")
        try:
            yield Emulator(greeting.split("listening on ")[1].strip(), process.pid)
        finally:
            process.terminate()


@dataclass(frozen=True)
class Pace:
    """How fast the emulator writes; the ideal duration of a reply follows from it."""

    ttft_ms: float
    tokens_per_s: float
    tokens_per_chunk: int = 1

    def emulator_flags(self) -> list[str]:
        return [
            f"--ttft-ms={self.ttft_ms}",
            f"--tokens-per-s={self.tokens_per_s}",
            f"--tokens-per-chunk={self.tokens_per_chunk}",
        ]

    def driver_flags(self) -> list[str]:
        names = ("ttft-ms", "tokens-per-s", "tokens-per-chunk")
        values = (self.ttft_ms, self.tokens_per_s, self.tokens_per_chunk)
        return [
            flag
            for name, value in zip(names, values, strict=True)
            for flag in (f"--{name}", str(value))
        ]

    def ideal_ms(self, tokens: int) -> float:
        return self.ttft_ms + tokens / self.tokens_per_s * 1e3


def report(driver: Driver, url: str, flags: Sequence[str] = ()) -> Figures:
    """What the driver says of one run of its own."""
    done = subprocess.run(
        [*driver.command, "--url", url, *flags],
        cwd=driver.folder,
        capture_output=True,
        text=True,
        timeout=_RUN_LIMIT_S,
        check=False,
        preexec_fn=_raise_descriptor_limit,
    )
    if done.returncode != 0:
        raise SystemExit(f"{driver.title}: status {done.returncode}: {done.stderr.strip()}")
    figures: Figures = json.loads(done.stdout)
    return figures


def run(driver: Driver, server: Emulator, flags: Sequence[str], pace: Pace | None) -> Figures:
    """One run: the driver's report, and what the emulator's books say of its calls."""
    server.reset()
    cpu_before = server.cpu_s()
    figures = report(driver, server.url, flags)
    emulator_cpu_s = server.cpu_s() - cpu_before
    served = sorted(server.ledger()["requests"], key=lambda request: request["index"])
    tokens = [request["completion_tokens"] for request in served[-figures["calls"] :]]
    cpu_s = figures["cpu_user_s"] + figures["cpu_system_s"]
    figures |= {
        "tokens": sum(tokens) * figures["calls"] / len(tokens),
        "emulator_cores": emulator_cpu_s / figures["wall_s"],  # its work for the warm-up included
        "cores": cpu_s / figures["wall_s"],
        "cpu_us_per_call": cpu_s / figures["calls"] * 1e6,
    }
    figures["cpu_us_per_token"] = cpu_s / figures["tokens"] * 1e6
    if pace:
        figures["ideal_ms"] = pace.ideal_ms(median(tokens))
        figures["time_over_ideal"] = figures["call_ms"]["p50"] / figures["ideal_ms"]
    return figures


def alternate(
    drivers: Sequence[Driver], rounds: int, measure: Callable[[Driver], Figures]
) -> dict[str, Figures]:
    """The medians of each driver's runs. Every round begins with another driver."""
    runs: dict[str, list[Figures]] = {driver.key: [] for driver in drivers}
    for number in range(rounds):
        first = number % len(drivers)
        for driver in [*drivers[first:], *drivers[:first]]:
            progress(f"round {number + 1} of {rounds}: {driver.title}")
            runs[driver.key].append(measure(driver))
    return {key: medians(reports) for key, reports in runs.items()}


def medians(reports: Sequence[Figures]) -> Figures:
    """Field by field; failures are added up, and texts are those of the first report."""
    combined: Figures = {}
    for name, first in reports[0].items():
        values = [report[name] for report in reports]
        if name == "failures":
            combined[name] = sum(values)
        elif isinstance(first, Mapping):
            combined[name] = medians(values)
        else:
            combined[name] = first if isinstance(first, str) else median(values)
    return combined


def bound(name: str, value: float, limit: float, *, at_least: bool = False) -> Figures:
    """One line of what must be shown."""
    return {
        "name": name,
        "value": value,
        "limit": limit,
        "sense": "at least" if at_least else "at most",
        "ok": value >= limit if at_least else value <= limit,
    }


def machine() -> dict[str, Any]:
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return {
        "cpu": model,
        "cpus": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.platform(),
        "compiler": _first_line("g++", "--version"),
        "python": platform.python_version(),
        "node": _first_line("node", "--version"),
        "load_average_before": os.getloadavg()[0],
    }


def progress(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)


def _first_line(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split(
            "\n"
        )[0]
    except (OSError, subprocess.CalledProcessError):
        return "none"


def _raise_descriptor_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
