"""Results as people read them. Tables by rich, which knows how wide Chinese characters are."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from ..post import Post

# The five stages of a post and what they are.
STAGES: Mapping[str, str] = {
    "1_parse_request": "parse and check the request",
    "2_model_selection_db": "profile and model",
    "3_gpt_generation": "until the first text is complete",
    "4_alternative_versions": "until the last text is complete",
    "5_database_write": "write the row",
}

_LEVEL_STYLES = {"ok": "green", "warning": "yellow", "error": "red"}


def console() -> Console:
    """Of standard output. Beside a terminal it is as wide as the tables need."""
    return Console(width=None if sys.stdout.isatty() else 100, highlight=False)


def post(post: Post) -> None:
    out = console()
    facts = post.reply["postgen"]
    out.print(text_panel(post))
    out.print(_versions(facts))
    out.print(_stages(facts["timings_ms"]))
    usage = facts["usage"]
    out.print(
        f"model {escape(facts['model'])} · {usage['prompt_tokens']} tokens in, "
        f"{usage['completion_tokens']} out · {usd(facts['cost_usd'])} · {facts['stored']} as "
        f"{escape(post.post_id)}"
    )
    for warning in facts["warnings"]:
        out.print(f"[yellow]warning:[/] {escape(warning)}")


def text_panel(post: Post) -> Panel:
    facts = post.reply["postgen"]
    stock = post.reply["stock_info"]
    angle = next(
        (v["angle"] for v in facts["versions"] if v["version_number"] == facts["chosen"]), ""
    )
    return Panel(
        f"[bold]{escape(post.title)}[/]\n\n{escape(post.content)}",
        title=escape(f"{stock['stock_name']} {stock['stock_code']}"),
        subtitle=escape(f"version {facts['chosen']}: {angle}"),
    )


def findings(findings: Sequence[Mapping[str, str]]) -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("what", "state", "finding"):
        table.add_column(column)
    for finding in findings:
        style = _LEVEL_STYLES[finding["level"]]
        table.add_row(
            finding["subject"], f"[{style}]{finding['level']}[/]", escape(finding["message"])
        )
    console().print(table)


def costs(rows: Sequence[Mapping[str, Any]], as_of: str, arguments: argparse.Namespace) -> None:
    table = Table(
        caption=f"{arguments.input_tokens} tokens in and {arguments.output_tokens} out a call, "
        f"{arguments.versions} calls a post, {arguments.posts_per_day} posts a day; "
        f"list prices of {as_of}",
        caption_justify="left",
    )
    table.add_column("model")
    for column in ("a call", "a post", "a day", "a month"):
        table.add_column(f"{column}, USD", justify="right")
    for row in rows:
        table.add_row(
            row["model"],
            f"{row['call_usd']:.6f}",
            f"{row['post_usd']:.6f}",
            f"{row['day_usd']:.2f}",
            f"{row['month_usd']:.2f}",
        )
    console().print(table)


def probe(document: Mapping[str, Any]) -> None:
    table = Table(
        caption=f"Medians over {document['posts']} posts of {document['versions']} versions each; "
        "tokens a second after the first token.",
        caption_justify="left",
    )
    table.add_column("model")
    for column in ("first token, ms", "tokens/s", "a post, s", "a post, USD"):
        table.add_column(column, justify="right")
    table.add_column("failures")
    for row in document["models"]:
        table.add_row(
            escape(row["model"]),
            _number(row["ttft_ms"], ".0f"),
            _number(row["tokens_per_s"], ".1f"),
            _number(row["post_ms"] and row["post_ms"] / 1e3, ".2f"),
            _number(row["post_usd"], ".6f"),
            "\n".join(
                escape(f"{failure['count']} x {failure['code']}: {failure['message']}")
                for failure in row["failures"]
            ),
        )
    console().print(table)


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def usd(cost: float | None) -> str:
    return "cost unknown" if cost is None else f"{cost:.6f} USD"


class LiveText:
    """Prints the text of the version that speaks first as it comes; of the others their ends."""

    def __init__(self) -> None:
        self._version: int | None = None
        self._part = ""

    def event(self, event: Mapping[str, Any]) -> None:
        number = event["version_number"]
        if event["type"] == "delta":
            if self._version is None:
                self._version = number
            if number == self._version:
                if self._part == "title" and event["part"] == "content":
                    print("\n")
                self._part = event["part"]
                print(event["text"], end="", flush=True)
        elif event["type"] == "version_done" and number == self._version:
            print("\n", flush=True)


def _versions(facts: Mapping[str, Any]) -> Table:
    table = Table(title="versions", title_justify="left", box=None, pad_edge=False)
    for column in ("", "angle", "title"):
        table.add_column(column)
    for column in ("words", "tokens", "ms"):
        table.add_column(column, justify="right")
    table.add_column("source")
    for version in facts["versions"]:
        chosen = version["version_number"] == facts["chosen"]
        error = version["error"]
        table.add_row(
            ("* " if chosen else "  ") + str(version["version_number"]),
            escape(version["angle"]),
            escape(version["title"]) if error is None else f"[red]{escape(error['message'])}[/]",
            str(version["words"]),
            str(version["usage"]["completion_tokens"]),
            f"{version['total_ms']:.0f}",
            str(version["source"]),
        )
    return table


def _stages(timings: Mapping[str, float]) -> Table:
    table = Table(title="stages", title_justify="left", box=None, pad_edge=False)
    table.add_column("stage")
    table.add_column("ms", justify="right")
    table.add_column("what")
    for stage, what in STAGES.items():
        table.add_row(stage, f"{timings[stage]:.1f}", what)
    table.add_row("total_time", f"{timings['total_time']:.1f}", "")
    return table
