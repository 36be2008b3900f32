"""postgen batch: many posts."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from ..batch import Progress
from ..generator import PostGenerator
from . import common, schema

# What a supervisor leaves a program between SIGTERM and SIGKILL is ten seconds and more.
_DRAIN_MS = 5_000


def add_command(commands: Any) -> None:
    parser = commands.add_parser(
        "batch",
        help="write many posts, a request a line",
        description="Writes one post for each line of a JSON Lines file. Results come in the order "
        "of the requests, a document a line, failed ones too; progress goes to standard error. At "
        "SIGTERM posts that are under way have five seconds to end; the others are failed ones.",
        allow_abbrev=False,
    )
    parser.add_argument("requests", metavar="POSTS.jsonl", help="requests; - is standard input")
    parser.add_argument("--output", metavar="RESULTS.jsonl", help="default: standard output")
    parser.add_argument(
        "--concurrency", type=int, default=64, metavar="N", help="posts at once (default: 64)"
    )
    parser.add_argument("--resume", action="store_true", help=argparse.SUPPRESS)
    schema.add_option_flags(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    if arguments.resume:
        raise common.UsageError("--resume is not in this version of postgen yet")
    if arguments.concurrency < 1:
        raise common.UsageError("--concurrency must be at least 1")
    model = common.model_of(arguments)
    requests = [model | request for request in _read_requests(arguments.requests)]
    failed = 0
    with ExitStack() as stack:
        output = sys.stdout
        if arguments.output:
            output = stack.enter_context(_open_for_writing(arguments.output))
        generator = stack.enter_context(common.generator_from(arguments))
        stack.enter_context(_draining_at_sigterm(generator))
        reporter = _Reporter()
        for post in generator.batch(
            requests, concurrency=arguments.concurrency, on_progress=reporter.report
        ):
            failed += not post.ok
            common.print_json(post.reply, output)
        reporter.finish()
    return common.SOME_FAILED if failed else common.ALL_DONE


@contextmanager
def _draining_at_sigterm(generator: PostGenerator) -> Iterator[None]:
    """Posts that are under way then get _DRAIN_MS to end; the others end as failed."""

    def drain(_signal: int, _frame: object) -> None:
        threading.Thread(target=generator.close, kwargs={"drain_ms": _DRAIN_MS}).start()

    before = signal.signal(signal.SIGTERM, drain)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _read_requests(path: str) -> list[dict[str, Any]]:
    """Wrong lines end the command before anything is paid."""
    requests = []
    for number, line in enumerate(common.read_text(path).splitlines(), 1):
        if not line.strip():
            continue
        try:
            request = json.loads(line)
        except ValueError as error:
            raise common.UsageError(f"{path}, line {number}: not JSON: {error}") from None
        if not isinstance(request, dict):
            raise common.UsageError(f"{path}, line {number}: a request is a JSON object")
        requests.append(request)
    return requests


def _open_for_writing(path: str) -> Any:
    try:
        return open(path, "w", encoding="utf-8")
    except OSError as error:
        raise common.UsageError(f"{path}: {error.strerror}") from None


class _Reporter:
    """Progress on standard error: one line that is rewritten on a terminal, else a line at every
    tenth of the batch."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._started = time.monotonic()
        self._last: Progress | None = None
        self._next_tenth = 1

    def report(self, progress: Progress) -> None:
        self._last = progress
        total = progress.total or progress.finished
        if self._terminal:
            print(f"\r{self._line(progress)}", end="", file=sys.stderr, flush=True)
        elif progress.finished * 10 >= total * self._next_tenth:
            self._next_tenth = progress.finished * 10 // total + 1
            print(self._line(progress), file=sys.stderr, flush=True)

    def finish(self) -> None:
        if self._terminal and self._last is not None:
            print(file=sys.stderr)

    def _line(self, progress: Progress) -> str:
        seconds = time.monotonic() - self._started
        return (
            f"{progress.finished}/{progress.total} posts, {progress.failed} failed, "
            f"{seconds:.1f} s, {progress.cost_usd:.6f} USD"
        )
