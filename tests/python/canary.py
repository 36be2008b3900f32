#!/usr/bin/env python3
"""Looks through everything that a test run left behind for the key and the password that its tests
use: logs, what programs printed, databases, dumps.

    canary.py FILE-OR-FOLDER...    status 1 and a line for each file that has one of them
"""

from __future__ import annotations

import base64
import mmap
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

# The key of the tests that talk to a provider, and how the passwords of those that talk to
# PostgreSQL and Redis begin. Found only where a secret was given out.
KEY = "sk-canary-7f3a9c"
PASSWORD = "pw-canary-5d2e81"


def forms(secret: str) -> Iterator[bytes]:
    """As people meet it in logs and rows."""
    plain = secret.encode()
    yield plain
    yield secret.encode("utf-16-le")
    yield plain.hex().encode()
    yield quote(secret.replace("-", "%2D"), safe="%").encode()
    for offset in range(3):  # within a longer text; without the letters that its neighbours change
        encoded = base64.b64encode(b"\0" * offset + plain)
        yield encoded[(4 if offset else 0) : len(encoded) // 4 * 4 - 4]


NEEDLES = [form for secret in (KEY, PASSWORD) for form in forms(secret)]


def has_canary(path: Path) -> bool:
    if path.stat().st_size == 0:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return any(data.find(needle) >= 0 for needle in NEEDLES)


def scan(places: Sequence[Path]) -> tuple[int, list[Path]]:
    """How many files there are, and those with a secret."""
    files = [
        path
        for place in places
        for path in ([place] if place.is_file() else sorted(place.rglob("*")))
        if path.is_file() and not path.is_symlink()
    ]
    return len(files), [path for path in files if has_canary(path)]


def main(arguments: Sequence[str]) -> int:
    count, found = scan([Path(argument) for argument in arguments])
    for path in found:
        print(f"a key or password of the tests is in {path}")
    print(f"{count} files were looked through")
    return 1 if found or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
