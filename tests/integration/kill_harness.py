#!/usr/bin/env python3
"""Kills a process that makes posts, again and again, and counts what is left.

    scripts/with-postgres tests/integration/kill_harness.py --worker FILE --emulator FILE
        [--kills 200] [--seed N] [--json]

20 posts are in flight at each SIGKILL, which comes at a random moment or at a named failpoint (of a
worker built with POSTGEN_FAILPOINTS), in turn. In part of the rounds PostgreSQL is stopped, before
or in the middle, by a fast shutdown or as in a crash. In the end it is started, the spool is
drained, and every text that a caller had heard of must be in the store exactly once and be the
emulator's, no row without text, none twice. Ends with status 1 otherwise.
"""

from __future__ import annotations

import argparse
import collections
import itertools
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

FAILPOINTS = (
    "spool.before_write",
    "spool.after_write",
    "version.journaled",
    "post.finished",
    "post.stored",
    "post.spooled",
    "spool.adopted",
    "spool.moved",
)
# Reached once, at the start of a worker that finds a spool.
AT_START = ("spool.adopted", "spool.moved")
# Only reached while PostgreSQL is away.
MOMENT = "a random moment"
SPOOLED = "the first spooled post"
WHILE_STOPPED = ("post.spooled", SPOOLED)
# A failpoint that is not reached by then never will be.
LONGEST_ROUND_S = 20.0

Text = tuple[str, str]  # title, content


class Postgres:
    """The server of scripts/with-postgres, which this process has to itself."""

    def __init__(self) -> None:
        self._control = os.environ["POSTGEN_TEST_POSTGRES_CTL"]
        self._server = os.environ["POSTGEN_TEST_POSTGRES_URL"]
        self._lock = threading.Lock()
        self._running = True
        name = f"kill_{os.getpid()}"
        self._query(self._server, f"CREATE DATABASE {name}")
        self.url = urlsplit(self._server)._replace(path=f"/{name}").geturl()

    def stop(self, mode: str) -> None:
        with self._lock:
            if self._running:
                self._run("stop", "-m", mode)
            self._running = False

    def start(self) -> None:
        with self._lock:
            if not self._running:
                self._run("start")
            self._running = True

    def rows(self) -> list[dict[str, Any]]:
        answer = self._query(
            self.url,
            "SELECT coalesce(json_agg(row_to_json(r)), '[]') FROM (SELECT post_id, title, content,"
            " coalesce(alternative_versions, '[]') AS alternatives FROM post_records) AS r",
        )
        rows: list[dict[str, Any]] = json.loads(answer)
        return rows

    def _run(self, *arguments: str) -> None:
        subprocess.run([self._control, *arguments], check=True, stdout=subprocess.DEVNULL)

    @staticmethod
    def _query(url: str, sql: str) -> str:
        return subprocess.run(
            ["psql", url, "-XAtq", "-c", sql], check=True, capture_output=True, text=True
        ).stdout


class Emulator:
    def __init__(self, program: Path) -> None:
        self._process = subprocess.Popen(
            [program, "--exit-with-parent", "--record-prompts", "--ttft-ms=40", "--ttft-sigma=0.5",
             "--tokens-per-s=2000", "--rate-sigma=0.3"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().split("listening on ")[1].strip()

    def begin(self, seed: int) -> None:
        """Empties the ledger; from here on the texts are those of the seed."""
        self._ask("config", {"seed": seed})
        self._ask("ledger/reset", {})

    def answers(self) -> collections.Counter[Text]:
        """Every text that was written since."""
        ledger = self._ask("ledger")
        if len(ledger["requests"]) != ledger["requests_total"]:
            raise SystemExit("the round was longer than the emulator's memory")
        return collections.Counter(
            read_answer(answer)
            for request in ledger["requests"]
            for answer in request.get("answers", ())
        )

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()

    def _ask(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        url = f"{self.url.removesuffix('/v1')}/{path}"
        with urllib.request.urlopen(urllib.request.Request(url, data=data)) as reply:
            answer: dict[str, Any] = json.load(reply)
        return answer


def read_answer(answer: str) -> Text:
    parts = re.fullmatch(r"標題：(.*)\n內容：(.*)", answer, re.DOTALL)
    if parts is None:
        raise SystemExit(f"the emulator wrote in another form: {answer!r}")
    return parts[1], parts[2]


@dataclass(frozen=True)
class Round:
    place: str  # a failpoint, MOMENT or SPOOLED
    reached: int  # the time at which the failpoint kills
    moment_s: float
    outage: str  # "none", "before" or "during"
    stop_mode: str
    journal: str
    seed: int


def plans(rng: random.Random) -> Iterator[Round]:
    """Failpoints and random moments in turn. What needs a spool to begin with gets one."""
    for failpoint in itertools.cycle(FAILPOINTS):
        yield plan(SPOOLED if failpoint in AT_START else MOMENT, rng)
        yield plan(failpoint, rng)


def plan(place: str, rng: random.Random) -> Round:
    outage = rng.choice(("none", "none", "before", "during"))
    if place in WHILE_STOPPED:
        outage = "before"
    elif place in (*AT_START, "post.stored"):
        outage = "none"
    return Round(
        place=place,
        reached=1 if place in AT_START else rng.randrange(1, 12),
        moment_s=rng.uniform(0.1, 0.7),
        outage=outage,
        stop_mode=rng.choice(("fast", "fast", "immediate")),
        journal=rng.choice(("version", "version", "post")) if place == MOMENT else "version",
        seed=rng.getrandbits(40),
    )


@dataclass
class Heard:
    """What callers were told."""

    posts: dict[str, Text] = field(default_factory=dict)
    versions: set[Text] = field(default_factory=set)
    counts: collections.Counter[str] = field(default_factory=collections.Counter)

    def add(self, line: str, journal: str) -> str:
        """What it says of the row, if it says that."""
        event = json.loads(line)
        if event["type"] == "error":
            self.counts["posts that failed: " + event["message"][:60]] += 1
            return ""
        text = (event["title"], event["content"])
        if event["type"] == "post":
            self.posts[event["post_id"]] = text
            self.counts["posts heard of as " + event["stored"]] += 1
        elif journal == "version":
            self.versions.add(text)
        return str(event.get("stored", ""))


class Harness:
    def __init__(self, options: argparse.Namespace) -> None:
        self._worker: Path = options.worker
        self._postgres = Postgres()
        self._emulator = Emulator(options.emulator)
        self._spool = Path(tempfile.mkdtemp(prefix="postgen-kill-"))
        self._heard = Heard()
        self._written: collections.Counter[Text] = collections.Counter()
        self._kills: collections.Counter[str] = collections.Counter()
        self._outages = 0

    def close(self) -> None:
        self._emulator.stop()
        shutil.rmtree(self._spool, ignore_errors=True)

    def create_tables(self) -> None:
        self._run_worker("migrate")

    def play(self, plan: Round) -> None:
        """One life of a worker."""
        self._emulator.begin(plan.seed)
        if plan.outage == "before":
            self._postgres.stop(plan.stop_mode)
        else:
            self._postgres.start()
        environment = dict(os.environ)
        if plan.place in FAILPOINTS:
            environment["POSTGEN_FAILPOINT"] = f"{plan.place}:{plan.reached}"
        worker = subprocess.Popen(
            self._command("work", plan.journal), stdout=subprocess.PIPE, env=environment, text=True
        )
        by_us = threading.Event()

        def kill() -> None:
            by_us.set()
            worker.kill()

        timers = []
        if plan.outage == "during":
            stop = self._postgres.stop
            timers = [
                threading.Timer(plan.moment_s * 0.3, stop, [plan.stop_mode]),
                threading.Timer(plan.moment_s * 0.7, self._postgres.start),
            ]
        limit_s = plan.moment_s if plan.place == MOMENT else LONGEST_ROUND_S
        timers.append(threading.Timer(limit_s, kill))
        for timer in timers:
            timer.start()
        assert worker.stdout is not None
        for line in worker.stdout:
            if line.endswith("\n"):  # else it was being said
                heard = self._heard.add(line, plan.journal)
                if plan.place == SPOOLED and heard == "spooled":
                    worker.kill()
        status = worker.wait()
        for timer in timers:
            timer.cancel()
            timer.join()
        if status != -signal.SIGKILL:
            raise SystemExit(f"the worker ended by itself, with status {status}: {plan}")
        if plan.place != MOMENT and by_us.is_set():
            raise SystemExit(f"not reached: {plan}")
        self._kills[plan.place] += 1
        self._outages += plan.outage != "none"
        self._written += self._emulator.answers()

    def drain(self) -> None:
        self._postgres.start()
        self._run_worker("drain")

    def judge(self) -> tuple[list[tuple[str, Any]], list[tuple[str, int]]]:
        """What was seen, and what must be 0."""
        texts: collections.Counter[Text] = collections.Counter()
        stored: dict[str, Text] = {}
        for row in self._postgres.rows():
            stored[row["post_id"]] = (row["title"], row["content"])
            texts[stored[row["post_id"]]] += 1
            texts.update((v["title"], v["content"]) for v in json.loads(row["alternatives"]))
        heard = self._heard
        facts = [
            *((f"kills at {place}", times) for place, times in sorted(self._kills.items())),
            ("rounds with PostgreSQL stopped", self._outages),
            *sorted(heard.counts.items()),
            ("versions heard of", len(heard.versions)),
            ("texts that the emulator wrote", self._written.total()),
            ("rows", len(stored)),
            ("texts in them", texts.total()),
        ]
        empty = sum(not all(text) for text in texts.elements())
        faults = [
            ("posts lost, or with another text", sum(
                stored.get(post_id) != text for post_id, text in heard.posts.items())),
            ("versions lost", len(heard.versions - texts.keys())),
            ("texts that are not the emulator's", len(texts.keys() - self._written.keys())),
            ("texts twice", (texts - self._written).total()),
            ("rows or versions without text", empty),
            ("files left in the spool", sum(1 for _ in self._spool.iterdir())),
        ]  # fmt: skip
        return facts, faults

    def _command(self, work: str, journal: str = "version") -> Sequence[str | Path]:
        return [self._worker, work, self._postgres.url, self._spool, self._emulator.url, journal]

    def _run_worker(self, work: str) -> None:
        environment = {k: v for k, v in os.environ.items() if k != "POSTGEN_FAILPOINT"}
        done = subprocess.run(
            self._command(work), env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise SystemExit(f"{work}: status {done.returncode}: {done.stdout}{done.stderr}")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--worker", required=True, type=Path, help="postgen_kill_worker")
    parser.add_argument("--emulator", required=True, type=Path, help="postgen-emulator")
    parser.add_argument("--kills", type=int, default=200, metavar="N", help="default: 200")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31), metavar="N")
    parser.add_argument("--json", action="store_true", help="print the figures as one document")
    options = parser.parse_args()
    print(f"seed {options.seed}", file=sys.stderr, flush=True)
    rng = random.Random(options.seed)
    began = time.monotonic()
    harness = Harness(options)
    try:
        harness.create_tables()
        for round_ in itertools.islice(plans(rng), options.kills):
            harness.play(round_)
        harness.drain()
        facts, faults = harness.judge()
    finally:
        harness.close()
    facts = [("seed", options.seed), ("kills", options.kills), *facts]
    facts.append(("seconds", round(time.monotonic() - began, 1)))
    good = not any(count for _, count in faults)
    if options.json:
        document = {"benchmark": "kill", **dict(facts), "must_be_0": dict(faults), "ok": good}
        print(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        width = max(len(label) for label, _ in [*facts, *faults])
        for label, value in facts:
            print(f"{label:<{width}}  {value}")
        print("\nmust be 0")
        for label, value in faults:
            print(f"{label:<{width}}  {value}")
        print("all is well" if good else "NOT WELL")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
