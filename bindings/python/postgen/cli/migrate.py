"""postgen migrate: the tables that the store needs."""

from __future__ import annotations

import argparse
from typing import Any

from ..generator import PostGenerator
from . import common, schema


def add_command(commands: Any) -> None:
    parser = commands.add_parser(
        "migrate",
        help="create or complete the tables of the store",
        description="Creates or completes the tables that the store needs. May be repeated.",
        allow_abbrev=False,
    )
    parser.add_argument("--json", action="store_true", help="print the changes as a JSON array")
    schema.add_option_flags(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    options = common.options_of(arguments)
    if options.get("store", {}).get("url", "none:") == "none:":
        raise common.UsageError("there is no store to migrate: give --store URL or DATABASE_URL")
    options["llm"] = {"provider": "template"}  # no key is needed for this
    with PostGenerator(**options) as generator:
        changes = generator.migrate()
    if arguments.json:
        common.print_json(changes)
    else:
        print("\n".join(changes) or "nothing to do: the tables are complete")
    return common.ALL_DONE
