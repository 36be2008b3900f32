"""The row that every driver stores: the one that postgen wrote first, under ever new post ids."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from typing import Any

SELECT = "SELECT * FROM sample_row"


def insert(columns: Iterable[str], placeholders: Iterable[str]) -> str:
    return f"INSERT INTO post_records ({', '.join(columns)}) VALUES ({', '.join(placeholders)})"


def renewed(row: Sequence[Any]) -> list[Any]:
    """post_id is the first of its columns."""
    return [str(uuid.uuid4()), *row[1:]]
