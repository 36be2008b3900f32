"""postgen spool: the posts that wait for the store."""

from __future__ import annotations

import argparse
from typing import Any

from ..errors import Error
from ..generator import PostGenerator
from . import common, schema


def add_command(commands: Any) -> None:
    parser = commands.add_parser(
        "spool",
        help="list or move the posts that wait for the store",
        description="Lists the posts that wait in the spool, or moves them to the store now. Those "
        "of running processes are theirs to move. Status 1 if posts are left after a flush.",
        allow_abbrev=False,
    )
    parser.add_argument("action", choices=["list", "flush"], help="what to do")
    parser.add_argument(
        "--json", action="store_true", help="print the posts as a JSON array, with their texts"
    )
    schema.add_option_flags(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    options = common.options_of(arguments)
    if options.get("store", {}).get("url", "none:") == "none:":
        raise common.UsageError("there is no store: give --store URL or DATABASE_URL")
    options["llm"] = {"provider": "template"}  # no key is needed for this
    with PostGenerator(**options) as generator:
        failure = _flush(generator) if arguments.action == "flush" else None
        posts = generator.list_spool()
        spool = generator.metrics().get("spool", {})
        others = spool.get("files_of_other_stores", 0)
        at_work = spool.get("files_of_others_at_work", 0)
    # Where the store is away there is nothing to tell but that.
    if failure is not None and not any(post["refusal"] for post in posts):
        raise failure
    if arguments.json:
        common.print_json(posts)
    else:
        for post in posts:
            state = post["refusal"] or "waits"
            print(f"{post['post_id']}  {post['stock_code']}  {post['title']}  {state}")
        if not posts:
            print("nothing waits")
    if others:
        several = f"{others} other spools here belong to other stores"
        common.note(several if others > 1 else "1 other spool here belongs to another store")
    if at_work:
        common.note(
            f"not looked into: {at_work} held by others who are at work and move their posts "
            "themselves"
        )
    if failure is None:
        return common.ALL_DONE
    common.note(f"{len(posts)} left in the spool: {failure}")
    return common.SOME_FAILED


def _flush(generator: PostGenerator) -> Error | None:
    try:
        generator.flush_spool()
    except Error as failure:
        return failure
    return None
