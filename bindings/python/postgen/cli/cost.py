"""postgen cost: what posts cost, by the price table."""

from __future__ import annotations

import argparse
import json
from typing import Any

from .. import _core
from ..options import options_from_file
from . import common, show

_DAYS_PER_MONTH = 30


def add_command(commands: Any) -> None:
    parser = commands.add_parser(
        "cost",
        help="price of a call, a post, a day and a month",
        description="Prices a call, a post, a day and a month (30 days). A post is --versions "
        "calls. Without --model: every model of the price table.",
        allow_abbrev=False,
    )
    parser.add_argument("--model", metavar="M")
    parser.add_argument("--input-tokens", type=_count, default=2000, metavar="N", help="of a call")
    parser.add_argument("--output-tokens", type=_count, default=500, metavar="N", help="of a call")
    parser.add_argument("--versions", type=_count, default=5, metavar="N", help="calls of a post")
    parser.add_argument("--posts-per-day", type=_count, default=1000, metavar="N")
    parser.add_argument("--config", metavar="FILE.toml", help="prices of its llm.prices go first")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    table = json.loads(_core.prices())
    prices: dict[str, dict[str, float]] = table["models"]
    if arguments.config:
        prices = prices | options_from_file(arguments.config).get("llm", {}).get("prices", {})
    if arguments.model:
        if arguments.model not in prices:
            raise common.UsageError(
                f"no price is known for '{arguments.model}'; known: {', '.join(sorted(prices))}"
            )
        prices = {arguments.model: prices[arguments.model]}
    rows = [_costs(model, price, arguments) for model, price in prices.items()]
    rows.sort(key=lambda row: row["call_usd"])
    if arguments.json:
        common.print_json({"as_of": table["as_of"], "costs": rows})
    else:
        show.costs(rows, table["as_of"], arguments)
    return common.ALL_DONE


def _costs(model: str, price: dict[str, float], arguments: argparse.Namespace) -> dict[str, Any]:
    call = (
        arguments.input_tokens * price["input"] + arguments.output_tokens * price["output"]
    ) / 1e6
    post = call * arguments.versions
    day = post * arguments.posts_per_day
    return {
        "model": model,
        "call_usd": round(call, 9),
        "post_usd": round(post, 9),
        "day_usd": round(day, 6),
        "month_usd": round(day * _DAYS_PER_MONTH, 6),
    }


def _count(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = -1
    if number < 0:
        raise argparse.ArgumentTypeError(f"must be a whole number from 0, not '{text}'")
    return number
