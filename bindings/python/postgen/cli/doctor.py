"""postgen doctor: what would go wrong, before anything is paid."""

from __future__ import annotations

import argparse
from typing import Any

from ..errors import ConfigError
from ..generator import PostGenerator
from ..options import merged
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
    findings = _findings(common.options_of(arguments), arguments.timeout_ms)
    if arguments.json:
        common.print_json(findings)
    else:
        show.findings(findings)
    wrong = any(finding["level"] == "error" for finding in findings)
    return common.SOME_FAILED if wrong else common.ALL_DONE


def _findings(options: dict[str, Any], timeout_ms: int) -> list[dict[str, str]]:
    """Without a key, the rest is checked all the same."""
    missing = []
    try:
        generator = PostGenerator(**options)
    except ConfigError as error:
        if error.details.get("field") != "llm.api_key":
            raise
        missing = [{"subject": "llm", "level": "error", "message": str(error)}]
        generator = PostGenerator(**merged(options, {"llm": {"provider": "template"}}))
    with generator:
        found = generator.diagnose(timeout_ms=timeout_ms)
    return missing + [f for f in found if not (missing and f["subject"] == "llm")]
