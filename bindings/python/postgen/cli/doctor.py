"""postgen doctor: what would go wrong, before anything is paid."""

from __future__ import annotations

import argparse
from typing import Any

from . import common, schema, show


def add_command(commands: Any) -> None:
    parser = commands.add_parser(
        "doctor",
        help="check key, provider, store, schema, profiles and cache",
        description="Checks key, provider, store, schema, profiles and cache without paying for "
        "anything, and says what to mend. Status 1 if something must be mended.",
        allow_abbrev=False,
    )
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.add_argument(
        "--timeout-ms", type=int, default=10_000, metavar="N", help="in all (default: 10000)"
    )
    schema.add_option_flags(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    with common.generator_from(arguments) as generator:
        findings = generator.diagnose(timeout_ms=arguments.timeout_ms)
    if arguments.json:
        common.print_json(findings)
    else:
        show.findings(findings)
    wrong = any(finding["level"] == "error" for finding in findings)
    return common.SOME_FAILED if wrong else common.ALL_DONE
