"""The row that every driver stores: the one that postgen wrote first, under ever new post ids."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

COLUMNS = (
    "post_id",
    "created_at",
    "updated_at",
    "session_id",
    "kol_serial",
    "kol_nickname",
    "kol_persona",
    "stock_code",
    "stock_name",
    "title",
    "content",
    "content_md",
    "status",
    "commodity_tags",
    "generation_params",
    "alternative_versions",
    "trigger_type",
    "generation_mode",
    "topic_id",
    "topic_title",
    "has_trending_topic",
    "topic_content",
)
SELECT = f"SELECT {', '.join(COLUMNS)} FROM sample_row"


def insert(placeholders: Sequence[str]) -> str:
    return f"INSERT INTO post_records ({', '.join(COLUMNS)}) VALUES ({', '.join(placeholders)})"


def renewed(row: Sequence[Any]) -> list[Any]:
    return [str(uuid.uuid4()), *row[1:]]
