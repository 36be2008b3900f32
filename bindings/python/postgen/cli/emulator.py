"""postgen emulator: the OpenAI-compatible server that is shipped with the package."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .common import USAGE, UsageError, note

_PROGRAM = Path(__file__).resolve().parent.parent / "bin" / "postgen-emulator"
_GREETING = "listening on "


def add_command(commands: Any) -> None:
    """For `postgen --help` only: main() hands the words on before they are parsed."""
    commands.add_parser(
        "emulator",
        help="run an OpenAI-compatible server on loopback, with latency, limits and faults",
        add_help=False,
    )


def run_with(flags: Sequence[str]) -> int:
    """Becomes the emulator; does not return unless it cannot be started."""
    try:
        os.execv(program(), [program(), *flags])
    except (OSError, UsageError) as error:
        note(f"the emulator cannot be started: {error}")
        return USAGE


def program() -> str:
    """The path of the emulator."""
    if not _PROGRAM.is_file():
        raise UsageError(f"{_PROGRAM} is missing: install the package again")
    return str(_PROGRAM)


@contextmanager
def running(*flags: str) -> Iterator[str]:
    """A running emulator's URL; it ends with the block, and with this process whatever happens."""
    process = subprocess.Popen(
        [program(), "--exit-with-parent", *flags],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        greeting = process.stdout.readline()
        if _GREETING not in greeting:
            raise UsageError(f"the emulator did not start: {process.stderr.read().strip()}")
        try:
            yield greeting.split(_GREETING)[1].strip()
        finally:
            process.terminate()
