"""Parses the command line and runs one command."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from .. import __version__
from ..errors import Error
from . import batch, cost, demo, doctor, emulator, generate, migrate, probe, spool
from .common import USAGE, UsageError, note, print_json, status_of

_COMMANDS = (generate, batch, demo, emulator, probe, doctor, migrate, spool, cost)

_INTERRUPTED = 130

# Commands that this version does not have yet.
_LATER = ("report",)


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 all done, 1 some posts failed, 2 usage or configuration."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words and words[0] in _LATER:
        note(f"'{words[0]}' is not in this version of postgen yet")
        return USAGE
    if words and words[0] == "emulator":
        return emulator.run_with(words[1:])  # its flags are the program's own, --help included
    parsed = _parser().parse_args(words)
    try:
        status: int = parsed.run(parsed)
        sys.stdout.flush()
        return status
    except UsageError as error:
        note(str(error))
        return USAGE
    except Error as error:
        if getattr(parsed, "json", False):
            print_json(error.reply)
        note(f"{error.code}: {error}")
        return status_of(error)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has left; keep the interpreter from complaining about it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


class _Parser(argparse.ArgumentParser):
    """Errors are one line."""

    def error(self, message: str) -> None:  # type: ignore[override]
        self.exit(USAGE, f"{self.prog}: {message} (see {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="postgen",
        description="Posts for stock forums, written by an LLM, every version of a post at once.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"postgen {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)
    for command in _COMMANDS:
        command.add_command(commands)
    return parser
