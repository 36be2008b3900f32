"""postgen demo: the app's way beside postgen's, end to end."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ..demo import compare
from ..demo.app_way import ANGLES, Server
from ..demo.compare import Figures
from ..post import Post
from . import emulator, show
from .common import ALL_DONE, UsageError

_MODEL = "gpt-4o-mini"
_OPENAI = "https://api.openai.com/v1"
_EMULATED_POSTS = 10
_LIVE_POSTS = 2

# Stages whose time is the model's: the others are shown as they were measured.
_MODEL_STAGES = ("3_gpt_generation", "4_alternative_versions")


def add_command(commands: Any) -> None:
    parser = commands.add_parser(
        "demo",
        help="write ten posts in the app's way and in postgen's, and compare",
        description="Writes ten posts in the app's way and in postgen's, against an emulated "
        "provider on this machine, and compares them. Needs no key and no network; whatever the "
        "environment holds is left alone.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--live",
        action="store_true",
        help="against the provider of OPENAI_BASE_URL with OPENAI_API_KEY: costs money, asks first",
    )
    parser.add_argument("--yes", action="store_true", help="with --live: do not ask")
    parser.add_argument("--model", default=_MODEL, metavar="M", help=f"default: {_MODEL}")
    parser.add_argument(
        "--dir", metavar="DIR", help="where the two databases go (default: a new folder in /tmp)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    out = show.console()
    folder = _folder(arguments.dir)
    requests = compare.read_requests(_LIVE_POSTS if arguments.live else _EMULATED_POSTS)
    with _server(arguments, out, len(requests)) as server:
        app, ours, posts = _run_both(out, requests, server, folder)
    scale = 1 if arguments.live else compare.TIME_SCALE
    _show_posts(out, posts)
    out.print(_stage_table(app, ours, scale))
    if scale != 1:
        out.print(
            f"Stages 3 and 4 are the model's time and shown x{scale}, as they would be in real "
            "time; the others as measured.\n"
        )
    out.print(_summary_table(app, ours, scale))
    _show_rows_and_next_step(out, folder, arguments.live)
    return ALL_DONE


@contextmanager
def _server(arguments: argparse.Namespace, out: Console, posts: int) -> Iterator[Server]:
    if arguments.live:
        yield _live_server(arguments, out, posts)
        return
    out.print(
        f"[bold]{posts} posts, twice: the app's way, then postgen's.[/] Provider: an emulator on "
        "this machine.\n"
        f"Assumed of it: first token after about {compare.TTFT_MS / 1000:.1f} s, "
        f"{compare.TOKENS_PER_S} tokens a second; [bold]time runs {compare.TIME_SCALE} times as "
        "fast[/].\n"
        "Nothing leaves this machine, nothing is paid. The texts are the emulator's.\n"
    )
    with emulator.running(*compare.EMULATOR_FLAGS) as url:
        yield Server(url, "demo", arguments.model)


def _live_server(arguments: argparse.Namespace, out: Console, posts: int) -> Server:
    key = os.environ.get("OPENAI_API_KEY", "").strip()
    if not key:
        raise UsageError("--live needs OPENAI_API_KEY in the environment")
    url = os.environ.get("OPENAI_BASE_URL", "").strip() or _OPENAI
    calls = posts * (1 + len(ANGLES)) + posts * 5
    out.print(
        f"This uses OPENAI_API_KEY from the environment for {calls} calls of {arguments.model} at "
        f"{url} and [bold]costs money[/]."
    )
    if not arguments.yes:
        if not sys.stdin.isatty():
            raise UsageError("--live asks before it spends; without a terminal give --yes")
        if input("Go on? [y/N] ").strip().lower() not in ("y", "yes"):
            raise UsageError("nothing was done")
    return Server(url.rstrip("/"), key, arguments.model)


def _run_both(
    out: Console, requests: Sequence[dict[str, Any]], server: Server, folder: Path
) -> tuple[Figures, Figures, list[Post]]:
    count = len(requests)

    def progress(done: int) -> None:
        if out.is_terminal:
            print(f"\r  {done} of {count} posts", end="\n" if done == count else "", flush=True)

    out.print("[bold]The app's way[/]: six calls a post, one after the other, post by post ...")
    try:
        app = compare.run_app_way(requests, server, folder / "app.db", progress)
    except (OSError, ValueError) as error:
        raise UsageError(f"the app's way failed: {error}") from None
    out.print(f"  {app.wall_ms / 1000:.1f} s")
    out.print(f"[bold]postgen[/]: five versions at once, {count} posts at once ...")
    ours, posts = compare.run_postgen(requests, server, folder / "posts.db", progress)
    out.print(f"  {ours.wall_ms / 1000:.1f} s\n")
    return app, ours, posts


def _show_posts(out: Console, posts: Sequence[Post]) -> None:
    out.print("[bold]What postgen wrote[/] (the chosen version of each post)")
    for post in posts:
        out.print(show.text_panel(post))


def _stage_table(app: Figures, ours: Figures, scale: int) -> Table:
    table = Table(title="Milliseconds a post, by stage (means)", title_justify="left")
    table.add_column("stage")
    for column in ("app's way", "%", "postgen", "%"):
        table.add_column(column, justify="right")
    app_ms, our_ms = _in_real_time(app, scale), _in_real_time(ours, scale)
    for stage in (*show.STAGES, "total_time"):
        table.add_row(
            stage,
            f"{app_ms[stage]:,.1f}",
            f"{100 * app_ms[stage] / app_ms['total_time']:.1f}",
            f"{our_ms[stage]:,.1f}",
            f"{100 * our_ms[stage] / our_ms['total_time']:.1f}",
            style="bold" if stage == "total_time" else "",
        )
    return table


def _summary_table(app: Figures, ours: Figures, scale: int) -> Table:
    app_ms, our_ms = _in_real_time(app, scale), _in_real_time(ours, scale)
    table = Table(title="In all", title_justify="left")
    table.add_column("")
    for column in ("app's way", "postgen", "postgen is"):
        table.add_column(column, justify="right")
    table.add_row(
        "one post",
        f"{app_ms['total_time'] / 1000:.1f} s",
        f"{our_ms['total_time'] / 1000:.1f} s",
        f"{app_ms['total_time'] / our_ms['total_time']:.1f}x as fast",
    )
    table.add_row(
        f"{ours.posts} posts",
        f"{app.wall_ms * scale / 1000:.1f} s",
        f"{ours.wall_ms * scale / 1000:.1f} s",
        f"{app.wall_ms / ours.wall_ms:.1f}x as fast",
    )
    for label, theirs, mine in (
        ("tokens in", app.prompt_tokens, ours.prompt_tokens),
        ("tokens out", app.completion_tokens, ours.completion_tokens),
    ):
        table.add_row(label, f"{theirs:,}", f"{mine:,}", f"{100 * mine / theirs:.0f} % of it")
    share = (
        f"{100 * ours.cost_usd / app.cost_usd:.0f} % of it"
        if ours.cost_usd and app.cost_usd
        else ""
    )
    table.add_row("cost at list prices", show.usd(app.cost_usd), show.usd(ours.cost_usd), share)
    return table


def _in_real_time(figures: Figures, scale: int) -> dict[str, float]:
    stages = {
        stage: ms * (scale if stage in _MODEL_STAGES else 1)
        for stage, ms in figures.stages_ms.items()
        if stage != "total_time"
    }
    return stages | {"total_time": sum(stages.values())}


def _show_rows_and_next_step(out: Console, folder: Path, live: bool) -> None:
    database = folder / "posts.db"
    out.print(f"\n[bold]The rows[/] are in {database}, table post_records.", soft_wrap=True)
    if live:
        return
    out.print(
        "[bold]Next[/]: with a key of your own (this costs about a tenth of a cent):\n"
        "  export OPENAI_API_KEY=...\n"
        "  postgen generate --stock-code 2330 --stock-name 台積電 --kol-serial 201 \\\n"
        f"    --profiles-url file:{compare.KOLS_FILE} --store sqlite:posts.db",
        soft_wrap=True,
    )


def _folder(path: str | None) -> Path:
    if path is None:
        return Path(tempfile.mkdtemp(prefix="postgen-demo-"))
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("app.db", "posts.db"):
        if (folder / name).exists():
            raise UsageError(f"{folder / name} exists already: give another --dir")
    return folder
