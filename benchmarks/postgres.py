"""The server that scripts/with-postgres started for this benchmark alone."""

from __future__ import annotations

import os
import subprocess

URL = os.environ["POSTGEN_TEST_POSTGRES_URL"]
_CONTROL = os.environ["POSTGEN_TEST_POSTGRES_CTL"]


def control(*arguments: str) -> None:
    """Words of pg_ctl: start, or stop -m MODE."""
    subprocess.run([_CONTROL, *arguments], check=True, stdout=subprocess.DEVNULL)


def query(sql: str) -> str:
    return subprocess.run(
        ["psql", URL, "-XAtq", "-c", sql], check=True, capture_output=True, text=True
    ).stdout
