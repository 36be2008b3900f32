"""postgen probe: models measured on a real endpoint."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean, median
from typing import Any

from .. import _core
from ..errors import Error
from ..generator import PostGenerator
from ..options import merged
from ..post import Post
from . import common, schema, show

_DEFAULT_POSTS = 3

# A call as it is priced before it is made; what it really was is in the result.
_INPUT_TOKENS = 2000
_OUTPUT_TOKENS = 500

# The model alone is measured: no second calls, no text that ends before the model does, and nobody
# who stands in for it.
_OPTIONS: Mapping[str, Any] = {
    "stream": True,
    "hedge": "off",
    "early_stop": False,
    "fallback_models": [],
    "on_failure": "error",
}


def add_command(commands: Any) -> None:
    parser = commands.add_parser(
        "probe",
        help="measure models on a real endpoint: time to first token, speed, time and cost a post",
        description="Writes posts with each model, in turn, and compares them: time to first "
        "token, tokens a second, time and cost a post. Nothing is stored or cached. Costs money: "
        "says how much about, and asks. Status 1 if a model failed.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--models", required=True, type=_names, metavar="A,B,C", help="the models to measure"
    )
    parser.add_argument(
        "--posts",
        type=_count,
        default=_DEFAULT_POSTS,
        metavar="N",
        help=f"posts with each model (default: {_DEFAULT_POSTS})",
    )
    parser.add_argument(
        "--request", metavar="FILE", help="the request, instead of the first example; - is stdin"
    )
    parser.add_argument("--versions", type=_count, default=5, metavar="N", help="of a post")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    schema.add_option_flags(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    options = merged(common.options_of(arguments), {"llm": _OPTIONS})
    request = _request(arguments)
    estimate = _estimate(arguments, options)
    with PostGenerator(**options) as generator:
        _say_what_it_costs(arguments, estimate)
        if not arguments.yes:
            _ask()
        posts = _measure(generator, request, arguments)
    rows = [_row(model, posts[model]) for model in arguments.models]
    document = {
        "posts": arguments.posts,
        "versions": arguments.versions,
        "estimated_usd": estimate,
        "models": rows,
    }
    if arguments.json:
        common.print_json(document)
    else:
        show.probe(document)
    return common.SOME_FAILED if any(row["failures"] for row in rows) else common.ALL_DONE


def _request(arguments: argparse.Namespace) -> dict[str, Any]:
    if arguments.request:
        request = common.read_request(arguments.request)
    else:
        from ..demo.compare import read_requests

        request = read_requests(1)[0]
    return request | {
        "versions": arguments.versions,
        "store": False,
        "cache": "bypass",
        "use_kol_default_model": False,
    }


def _estimate(arguments: argparse.Namespace, options: Mapping[str, Any]) -> dict[str, Any]:
    """USD for each model; None: its price is not known."""
    prices = json.loads(_core.prices())["models"] | (options["llm"].get("prices") or {})
    calls = arguments.posts * arguments.versions
    return {
        model: round(
            calls * (_INPUT_TOKENS * price["input"] + _OUTPUT_TOKENS * price["output"]) / 1e6, 6
        )
        if (price := prices.get(model))
        else None
        for model in arguments.models
    }


def _say_what_it_costs(arguments: argparse.Namespace, estimate: Mapping[str, float | None]) -> None:
    calls = arguments.posts * arguments.versions
    known = sum(usd for usd in estimate.values() if usd is not None)
    unknown = [model for model, usd in estimate.items() if usd is None]
    common.note(
        f"{calls} calls of each model will cost about {known:.4f} USD, at {_INPUT_TOKENS} tokens "
        f"in and {_OUTPUT_TOKENS} out a call"
        + (f"; not counting {', '.join(unknown)}, of unknown price" if unknown else "")
    )


def _ask() -> None:
    if not sys.stdin.isatty():
        raise common.UsageError("probe asks before it spends; without a terminal give --yes")
    print("Go on? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise common.UsageError("nothing was done")


def _measure(
    generator: PostGenerator, request: Mapping[str, Any], arguments: argparse.Namespace
) -> dict[str, list[Post]]:
    """Every model in turn, so that an hour of the provider's is the same for all of them."""
    posts: dict[str, list[Post]] = {model: [] for model in arguments.models}
    generator.diagnose()  # the first post shall not pay for the first connection
    for number in range(arguments.posts):
        for model in arguments.models:
            common.note(f"post {number + 1} of {arguments.posts}: {model}")
            try:
                post = generator.generate({**request, "model_id_override": model})
            except Error as error:
                if error.code in ("invalid_request", "invalid_config"):
                    raise
                post = Post(error.reply)
            posts[model].append(post)
    return posts


def _row(model: str, posts: Sequence[Post]) -> dict[str, Any]:
    versions = [version for post in posts for version in post.versions]
    good = [version for version in versions if version["error"] is None]
    done = [post for post in posts if post.ok]
    # After a retry the times are those of two attempts.
    timed = [version for version in good if version["attempts"] == 1 and version["ttft_ms"]]
    costs = [usd for post in done if (usd := post.cost_usd) is not None]
    return {
        "model": model,
        "posts": len(done),
        "ttft_ms": _median([version["ttft_ms"] for version in timed]),
        "tokens_per_s": _median([rate for version in timed if (rate := _tokens_per_s(version))]),
        "post_ms": _median([post.timings_ms["total_time"] for post in done]),
        "post_usd": fmean(costs) if costs and len(costs) == len(done) else None,
        "failures": _failures(posts, versions),
    }


def _tokens_per_s(version: Mapping[str, Any]) -> float | None:
    """Of the tokens after the first."""
    seconds = (version["total_ms"] - version["ttft_ms"]) / 1e3
    tokens = version["usage"]["completion_tokens"] - 1
    return tokens / seconds if seconds > 0 and tokens > 0 else None


def _failures(posts: Sequence[Post], versions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """How often each error came, of versions and of posts that had none, the first message of
    each code beside it."""
    errors = [(v["error"]["code"], v["error"]["message"]) for v in versions if v["error"]]
    errors += [(p.error.code, str(p.error)) for p in posts if p.error and not p.versions]
    counts = Counter(code for code, _ in errors)
    messages = dict(reversed(errors))
    return [
        {"code": code, "count": count, "message": messages[code]}
        for code, count in counts.most_common()
    ]


def _median(values: Sequence[float]) -> float | None:
    return median(values) if values else None


def _names(text: str) -> list[str]:
    names = list(dict.fromkeys(name.strip() for name in text.split(",")))
    if not all(names):
        raise argparse.ArgumentTypeError("names of models, with commas between them")
    return names


def _count(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1, not '{text}'")
    return number
