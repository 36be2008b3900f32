"""Bars of a benchmark's document, as SVG."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import matplotlib

matplotlib.use("svg")
from harness import DRIVERS, Figures
from matplotlib import pyplot

# Of each benchmark: table, column, title, unit.
_PLOTS = {
    "client": [("calls", "cpu_us_per_call", "CPU of a call", "µs, logarithmic")],
    "stream": [
        ("full", "cpu_us_per_token", "CPU of a token, 500 streams", "µs"),
        (
            "small",
            "cpu_us_per_token",
            "CPU of a token, as many streams as each keeps up with",
            "µs",
        ),
        ("full", "kb_per_call", "Memory of a stream", "KB"),
    ],
    "store": [("store", "posts_per_s", "Posts stored, 64 at a time", "a second")],
    "cache": [],
}

_FLOOR = "#9aa5b1"
_OURS = "#1f6feb"
_OTHERS = "#d98236"


def draw(document: Figures, folder: Path) -> Iterator[tuple[str, str]]:
    """Writes the plots; file and title of each."""
    # The same figures give the same file.
    pyplot.rcParams.update({"svg.hashsalt": "postgen", "svg.fonttype": "none"})
    tables = {table["key"]: table["rows"] for table in document["tables"]}
    for table, column, title, unit in _PLOTS[document["benchmark"]]:
        name = f"{document['benchmark']}-{table}-{column.replace('_', '-')}.svg"
        _bars(tables[table], column, title, unit, folder / name)
        yield name, title


def _bars(rows: dict[str, Figures], column: str, title: str, unit: str, path: Path) -> None:
    values = [row[column] for row in rows.values()]
    places = range(len(rows))  # not names: two rows may have the same
    figure, axes = pyplot.subplots(figsize=(8, 0.42 * len(rows) + 1.1))
    bars = axes.barh(places, values, color=[_colour(key) for key in rows], height=0.7)
    axes.bar_label(bars, fmt="%.3g", padding=4)
    axes.set_yticks(places, [_name(key, row) for key, row in rows.items()])
    axes.invert_yaxis()
    axes.set_title(title, loc="left")
    axes.set_xlabel(unit)
    if "logarithmic" in unit:
        axes.set_xscale("log")
    axes.margins(x=0.15)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
    pyplot.close(figure)


def _name(key: str, row: Figures) -> str:
    title = DRIVERS[key.partition("@")[0]].title
    return f"{title}, {row['streams']:.0f} streams" if "streams" in row else title


def _colour(key: str) -> str:
    if key.startswith("postgen"):
        return _OURS
    return _FLOOR if key in ("epoll", "libcurl", "easy") else _OTHERS
