#!/usr/bin/env python3
"""Measures everything and writes the tables and plots of docs/benchmarks.md anew.

With --from-json the figures of the last report (docs/benchmarks/*.json) are drawn again.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

import cache
import client
import plots
import show
import store
import stream
from harness import ROOT, Figures

PAGE = ROOT / "docs" / "benchmarks.md"
FOLDER = ROOT / "docs" / "benchmarks"

BENCHMARKS = {
    "client": client.measure,
    "stream": stream.measure,
    "store": store.measure,
    "cache": cache.measure,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="default: 5")
    parser.add_argument("--from-json", action="store_true", help="measure nothing")
    parser.add_argument(
        "--only", nargs="+", choices=BENCHMARKS, default=list(BENCHMARKS), metavar="NAME",
        help=f"of {', '.join(BENCHMARKS)}",
    )  # fmt: skip
    arguments = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    page = PAGE.read_text(encoding="utf-8")
    for name in arguments.only:
        measure = BENCHMARKS[name]
        path = FOLDER / f"{name}.json"
        if not arguments.from_json:
            text = json.dumps(measure(arguments.rounds), indent=1, ensure_ascii=False)
            path.write_text(text + "\n", encoding="utf-8")
        document = json.loads(path.read_text(encoding="utf-8"))
        page = with_section(page, name, show.markdown(document) + "\n\n" + drawn(document))
    PAGE.write_text(page, encoding="utf-8")
    print(f"{PAGE.relative_to(ROOT)} is written")
    return 0


def drawn(document: Figures) -> str:
    """Draws the document's plots; the Markdown that shows them."""
    images = []
    for name, title in plots.draw(document, FOLDER):
        images.append(f"![{title}]({Path(FOLDER.name) / name})")
    return "\n\n".join(images)


def with_section(page: str, name: str, text: str) -> str:
    """The page with `text` between the marks of the section."""
    start, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    pattern = re.compile(re.escape(start) + ".*?" + re.escape(end), re.DOTALL)
    if not pattern.search(page):
        raise SystemExit(f"{PAGE}: the marks of {name} are missing")
    return pattern.sub(lambda _: f"{start}\n\n{text}\n\n{end}", page)


if __name__ == "__main__":
    sys.exit(main())
