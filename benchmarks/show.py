"""A benchmark's document as people read it: on a screen, or in Markdown for docs/benchmarks.md."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from typing import Any

from harness import DRIVERS, Figures

# Heading, format, and whether the column's ratio to the base row is shown beside it.
_COLUMNS: dict[str, tuple[str, str, bool]] = {
    "cpu_us_per_call": ("CPU, us a call", "{:.1f}", True),
    "cpu_us_per_token": ("CPU, us a token", "{:.2f}", True),
    "wall_over_ideal": ("wall time / ideal", "{:.3f}", False),
    "time_over_ideal": ("stream time / ideal", "{:.3f}", False),
    "call_p50_ms": ("call p50, ms", "{:.1f}", False),
    "call_p50_us": ("call p50, us", "{:.0f}", True),
    "call_p99_us": ("p99, us", "{:.0f}", False),
    "hit_us": ("a hit, us", "{:.2f}", True),
    "generate_us": ("a post p50, us", "{:.1f}", True),
    "generate_p99_us": ("p99, us", "{:.1f}", False),
    "late_p50_ms": ("delta late p50, ms", "{:.1f}", False),
    "late_p99_ms": ("p99, ms", "{:.1f}", False),
    "kb_per_call": ("memory a stream, KB", "{:.1f}", False),
    "streams": ("streams", "{:.0f}", False),
    "cores": ("cores", "{:.2f}", False),
    "emulator_cores": ("emulator, cores", "{:.2f}", False),
    "posts_per_s": ("posts a second", "{:.0f}", True),
    "failures": ("failed", "{:.0f}", False),
}


_BUSY = (
    " The machine was busy with other work: times are too long, and clients that wake for every "
    "byte look better than they are, as bytes gather while they wait for a CPU."
)


def parser(description: str | None) -> argparse.ArgumentParser:
    """Knows --json, as every benchmark does."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print the figures as one document")
    return parser


def tables(document: Figures) -> str:
    return "\n\n".join(_blocks(document, screen))


def document(document: Figures, *, as_json: bool, text: Callable[[Figures], str] = tables) -> None:
    print(json.dumps(document, indent=2, ensure_ascii=False) if as_json else text(document))


def main(
    description: str | None,
    measure: Callable[[int], Figures],
    text: Callable[[Figures], str] = tables,
) -> int:
    """A benchmark of so many rounds, from its arguments to what it prints."""
    benchmark = parser(description)
    benchmark.add_argument("--rounds", type=int, default=5, metavar="N", help="default: 5")
    options = benchmark.parse_args()
    document(measure(options.rounds), as_json=options.json, text=text)
    return 0


def markdown(document: Figures) -> str:
    return "\n\n".join(_blocks(document, markdown_table))


def _blocks(document: Figures, render: Any) -> list[str]:
    blocks = []
    for table in document["tables"]:
        blocks.append(f"**{table['title']}**" if render is markdown_table else table["title"])
        blocks.append(render(*_rows_of(table)))
        blocks += [note for note in table.get("notes", ()) if note]
    blocks.append(render(*bounds(document["bounds"])))
    blocks.append(_conditions(document))
    return blocks


def bounds(entries: Sequence[Figures]) -> tuple[list[str], list[list[str]]]:
    """What must be shown, as headings and rows."""
    rows = [
        [
            entry["name"],
            f"{entry['value']:.3g}",
            f"{entry['sense']} {entry['limit']:g}",
            "pass" if entry["ok"] else "FAIL",
        ]
        for entry in entries
    ]
    return ["what must be shown", "measured", "bound", ""], rows


def facts(document: Figures) -> str:
    """A document of single figures: `facts`, name -> value, and `bounds`."""
    rows = [[name, f"{value:,}"] for name, value in document["facts"].items()]
    machine = document["machine"]
    return "\n\n".join(
        [
            screen(["seen", ""], rows),
            screen(*bounds(document["bounds"])),
            f"{machine['cpus']} × {machine['cpu']}, {machine['system']}",
        ]
    )


def _rows_of(table: Figures) -> tuple[list[str], list[list[str]]]:
    base = table["rows"].get(table.get("base"))
    headings = ["client"]
    for name in table["columns"]:
        heading, _, with_ratio = _COLUMNS[name]
        headings += [heading, "ratio"] if with_ratio and base else [heading]
    rows = []
    for key, row in table["rows"].items():
        title = DRIVERS[key.partition("@")[0]].title
        cells = [f"{title} {row['version']}"]
        for name in table["columns"]:
            _, form, with_ratio = _COLUMNS[name]
            value = row.get(name)
            cells.append("" if value is None else form.format(value))
            if with_ratio and base:
                cells.append("" if value is None else f"{value / base[name]:.2f}")
        rows.append(cells)
    return headings, rows


def _conditions(document: Figures) -> str:
    facts = document["machine"]
    busy = facts["load_average_before"] > facts["cpus"] / 2
    return (
        f"{facts['cpus']} × {facts['cpu']}, {facts['memory_gb']} GB, {facts['system']}; "
        f"{facts['compiler']}; Python {facts['python']}; Node {facts['node']}. Medians of "
        f"{document['rounds']} rounds; load average before: {facts['load_average_before']:.1f}."
        + (_BUSY if busy else "")
    )


def screen(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(headings))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = ["---", *(["---:"] * (len(headings) - 1))]
    return "\n".join("| " + " | ".join(line) + " |" for line in [headings, rule, *rows])
