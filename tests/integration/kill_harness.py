#!/usr/bin/env python3
"""Kills a process that makes posts, again and again, and counts what is left.

    scripts/with-postgres tests/integration/kill_harness.py --worker FILE [--kills 200] [--seed N]

20 posts are in flight at each SIGKILL, which comes at a random moment or at a named failpoint (a
worker built with POSTGEN_FAILPOINTS). In part of the rounds PostgreSQL is cut off. In the end the
spool is drained, and every text that a caller had heard of must be in the store exactly once, no
row without text, none twice. Ends with status 1 otherwise.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

FAILPOINTS = [
    "spool.before_write",
    "spool.after_write",
    "spool.adopted",
    "spool.moved",
    "post.stored",
    "post.spooled",
]


class Proxy:
    """Forwards to the server, or refuses and cuts while it is `down`."""

    def __init__(self, host: str, port: int) -> None:
        self.target = (host, port)
        self.down = False
        self.pairs: list[tuple[socket.socket, socket.socket]] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self.down = True
        for pair in self.pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
        self.pairs.clear()

    def restore(self) -> None:
        self.down = False

    def _accept(self) -> None:
        while True:
            client, _ = self.listener.accept()
            if self.down:
                client.close()
                continue
            server = socket.create_connection(self.target)
            self.pairs.append((client, server))
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def query(url: str, sql: str) -> list[list[str]]:
    done = subprocess.run(
        ["psql", url, "-XAtq", "-F", "\x1f", "-c", sql], check=True, capture_output=True, text=True
    )
    return [line.split("\x1f") for line in done.stdout.splitlines()]


def create_tables(url: str) -> None:
    columns = (
        "post_id varchar PRIMARY KEY, created_at timestamp, updated_at timestamp,"
        " session_id bigint, kol_serial int, kol_nickname varchar, kol_persona varchar,"
        " stock_code varchar, stock_name varchar, title varchar, content text, content_md text,"
        " status varchar, commodity_tags text, generation_params text,"
        " alternative_versions text, trigger_type varchar"
    )
    query(url, f"CREATE TABLE post_records ({columns})")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--worker", required=True, type=Path)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31))
    options = parser.parse_args()
    rng = random.Random(options.seed)
    server = os.environ["POSTGEN_TEST_POSTGRES_URL"]
    name = f"kill_{os.getpid()}"
    query(server, f"CREATE DATABASE {name}")
    parts = urlsplit(server)
    direct = parts._replace(path=f"/{name}").geturl()
    create_tables(direct)
    proxy = Proxy(parts.hostname or "127.0.0.1", parts.port or 5432)
    credentials = parts.netloc.rpartition("@")[0]
    through = f"postgresql://{credentials}@127.0.0.1:{proxy.port}/{name}"
    spool = tempfile.mkdtemp(prefix="postgen-kill-")

    posts: dict[str, str] = {}  # id -> text that the caller heard
    versions: set[str] = set()
    counts: collections.Counter[str] = collections.Counter()
    began = time.monotonic()
    for kill in range(options.kills):
        failpoint = rng.choice(FAILPOINTS) if rng.random() < 0.5 else None
        outage = rng.random() < 0.4
        moment = rng.uniform(0.05, 0.6)
        environment = dict(os.environ)
        if failpoint:
            environment["POSTGEN_FAILPOINT"] = f"{failpoint}:{rng.randrange(1, 12)}"
        if outage and rng.random() < 0.5:
            proxy.cut()
        worker = subprocess.Popen(
            [options.worker, through, spool, str(rng.getrandbits(60))],
            stdout=subprocess.PIPE, env=environment, text=True,
        )  # fmt: skip
        timers = [threading.Timer(moment if not failpoint else moment + 1.0, worker.kill)]
        if outage:
            timers.append(threading.Timer(moment * 0.4, proxy.cut))
            timers.append(threading.Timer(moment * 0.8, proxy.restore))
        for timer in timers:
            timer.start()
        assert worker.stdout is not None
        for line in worker.stdout:
            if not line.endswith("\n"):
                break
            kind, _, rest = line.rstrip("\n").partition(" ")
            if kind == "version":
                versions.add(rest)
            elif kind == "post":
                post_id, stored, text = rest.split(" ", 2)
                posts[post_id] = text
                counts[stored] += 1
            else:
                counts["failed: " + rest.split(":")[-1].strip()[:50]] += 1
        status = worker.wait()
        for timer in timers:
            timer.cancel()
        proxy.restore()
        if status != -signal.SIGKILL:
            print(
                f"the worker ended by itself with status {status} in round {kill}", file=sys.stderr
            )
            return 1
        counts["kills at " + (failpoint if failpoint else "a random moment")] += 1
        counts["kills with PostgreSQL cut off in between"] += outage

    environment = {key: value for key, value in os.environ.items() if key != "POSTGEN_FAILPOINT"}
    drained = subprocess.run([options.worker, through, spool, "1", "drain"],
                             env=environment, check=False)  # fmt: skip
    rows = query(
        direct, "SELECT post_id, content, coalesce(alternative_versions, '[]') FROM post_records"
    )
    texts: collections.Counter[str] = collections.Counter()
    for _, content, alternatives in rows:
        texts[content] += 1
        texts.update(version["content"] for version in json.loads(alternatives))
    stored = {post_id: content for post_id, content, _ in rows}

    lost = [post_id for post_id, text in posts.items() if stored.get(post_id) != text]
    lost_texts = [text for text in versions if texts[text] == 0]
    twice = [text for text, times in texts.items() if times > 1]
    empty = [post_id for post_id, content in stored.items() if not content]
    left = sorted(path.name for path in Path(spool).iterdir())
    table = [
        ("seed", options.seed),
        ("kills", options.kills),
        *sorted(counts.items()),
        ("posts that callers heard of", len(posts)),
        ("versions that callers heard of", len(versions)),
        ("rows", len(rows)),
        ("posts lost or with another text", len(lost)),
        ("versions lost", len(lost_texts)),
        ("texts twice", len(twice)),
        ("rows without text", len(empty)),
        ("files left in the spool", len(left)),
        ("seconds", round(time.monotonic() - began, 1)),
    ]
    width = max(len(label) for label, _ in table)
    for label, value in table:
        print(f"{label:<{width}}  {value}")
    for text in [*lost_texts, *twice][:5]:
        print(f"see: {text!r}")
    shutil.rmtree(spool, ignore_errors=True)
    good = (
        not (lost or lost_texts or twice or empty or left)
        and drained.returncode == 0
        and bool(posts)
    )
    print("all is well" if good else "NOT WELL")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
