"""postgen generate: one post."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from ..errors import Error
from ..generator import PostGenerator
from ..post import Post
from . import common, schema, show


def add_command(commands: Any) -> None:
    parser = commands.add_parser(
        "generate",
        help="write one post",
        description="Writes one post. Flags win over the fields of --request.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--request", metavar="FILE", help="the request as a JSON object; - is standard input"
    )
    parser.add_argument(
        "--stream",
        action="store_true",
        help="show text as it is written; with --json: every event as a line, the last one "
        "with the result",
    )
    parser.add_argument("--json", action="store_true", help="print the result document alone")
    schema.add_request_flags(parser)
    schema.add_option_flags(parser, with_cache=False)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    request = common.read_request(arguments.request) if arguments.request else {}
    request |= common.model_of(arguments) | schema.request_from(arguments)
    with common.generator_from(arguments) as generator:
        if arguments.stream:
            post = _stream(generator, request, as_json=arguments.json)
        else:
            post = _generate(generator, request)
    if post.error is not None:
        if arguments.json and not arguments.stream:
            common.print_json(post.reply)
        else:
            common.show_reply_failure(post.reply)
        return common.status_of(post.error)
    if not arguments.json:
        show.post(post)
    elif not arguments.stream:
        common.print_json(post.reply)
    return common.ALL_DONE


def _generate(generator: PostGenerator, request: dict[str, Any]) -> Post:
    try:
        return generator.generate(request)
    except Error as error:
        return Post(error.reply)


def _stream(generator: PostGenerator, request: dict[str, Any], *, as_json: bool) -> Post:
    live = show.LiveText()
    event: dict[str, Any] = {}
    for event in _events(generator, request):
        if as_json:
            common.print_json(event)
        else:
            live.event(event)
    return Post(event["result"])


def _events(generator: PostGenerator, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A request that is refused before it begins ends as one that fails later: with `error`."""
    try:
        yield from generator.stream(request)
    except Error as error:
        yield {"type": "error", "call_id": 0, "version_number": 0, "post_id": None} | {
            "result": error.reply
        }
