#!/usr/bin/env python3
"""Looks through everything that a test run left behind for the key and the password that its tests
use: logs, what programs printed, databases, dumps.

    canary.py FILE-OR-FOLDER...    status 1 and a line for each file that has one of them
    canary.py --self-test          plants them and looks
"""

from __future__ import annotations

import base64
import mmap
import sys
import tempfile
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


def self_test() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "clean.log").write_text("a test named canary: sk-canary, pw-canary-5d2e8")
        planted = [
            KEY.encode(),
            f"postgresql://u:{PASSWORD}-x@h/db".encode(),
            base64.b64encode(f"Bearer {KEY} and more".encode()),
            base64.b64encode(f"AUTH {PASSWORD}".encode()),
            f"--{KEY}--".encode().hex().encode(),
        ]
        for number, text in enumerate(planted):
            (folder / "deep").mkdir(exist_ok=True)
            (folder / "deep" / f"{number}.bin").write_bytes(b"\0" * number + text + b"\xff" * 9)
        count, found = scan([folder])
    assert count == len(planted) + 1, count
    assert len(found) == len(planted), found
    return 0


def main(arguments: Sequence[str]) -> int:
    if list(arguments) == ["--self-test"]:
        return self_test()
    count, found = scan([Path(argument) for argument in arguments])
    for path in found:
        print(f"a key or password of the tests is in {path}")
    print(f"{count} files were looked through")
    return 1 if found or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
