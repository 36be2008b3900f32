#!/usr/bin/env python3
"""How fast posts reach PostgreSQL, and how fast a KOL's profile comes from it.

store    64 rows at a time, the same 22 columns, over at most 10 connections: postgen, asyncpg and
         psycopg (one insert a transaction)
profile  one look-up after the other: postgen, which reads anew each time over the connections that
         it has, and a connection each time

All clients run in turn against one server that is started for it (scripts/with-postgres), with
synchronous_commit and fsync on. With --json the figures come as one document.
"""

from __future__ import annotations

import os
import sys

import psycopg
import show
from harness import DRIVERS, Driver, Figures, alternate, bound, machine, run_alone

import postgen
from postgen.demo import app_way

AT_ONCE = 64
POSTS = 20000
STORE_DRIVERS = ("postgen-store", "asyncpg-store", "psycopg-store", "psycopg-autocommit")
# What postgen fills: the app's columns and the newer ones.
COLUMNS = (
    *app_way.COLUMNS,
    "generation_mode",
    "topic_id",
    "topic_title",
    "has_trending_topic",
    "topic_content",
)
LOOKUPS = 200
PROFILE_DRIVERS = ("postgen-profile", "asyncpg-connect", "psycopg2-connect")


def main() -> int:
    return show.main(__doc__, measure)


def measure(rounds: int) -> Figures:
    facts = machine()
    url = os.environ["POSTGEN_TEST_POSTGRES_URL"]
    with psycopg.connect(url, autocommit=True) as database:
        set_up(database, url)
        stored = measure_store(rounds, url, database)
        profile = measure_profile(rounds, url)
        facts["postgresql"] = str(database.info.parameter_status("server_version"))
    ours = stored["postgen-store"]["posts_per_s"]
    return {
        "benchmark": "store",
        "machine": facts,
        "rounds": rounds,
        "tables": [
            {
                "title": f"{AT_ONCE} posts at a time into PostgreSQL, at most 10 connections",
                "key": "store",
                "columns": ["posts_per_s", "call_p50_ms", "cpu_us_per_call", "failures"],
                "base": "psycopg-store",
                "rows": stored,
            },
            {
                "title": "A KOL's profile, one look-up after the other",
                "key": "profile",
                "columns": ["call_p50_us", "call_p99_us", "cpu_us_per_call", "failures"],
                "base": "postgen-profile",
                "rows": profile,
            },
        ],
        "bounds": [
            bound(
                "posts stored a second, postgen over psycopg",
                ours / stored["psycopg-store"]["posts_per_s"],
                5,
                at_least=True,
            ),
            bound(
                "posts stored a second, postgen over asyncpg",
                ours / stored["asyncpg-store"]["posts_per_s"],
                2,
                at_least=True,
            ),
        ],
    }


def set_up(database: psycopg.Connection, url: str) -> None:
    """The tables, a KOL, and in sample_row the row that postgen writes and the others repeat."""
    for setting in ("fsync", "synchronous_commit"):
        row = database.execute(f"SHOW {setting}").fetchone()
        if row != ("on",):
            raise SystemExit(f"{setting} is not on: these would not be stored posts")
    with postgen.PostGenerator(llm={"provider": "template"}, store={"url": url}) as generator:
        generator.migrate()
    persona = "技術派，說話直接，愛用量價與均線，不報明牌。" * 10
    database.execute(
        "INSERT INTO kol_profiles (serial, nickname, persona, tone_style, prompt_persona, "
        "prompt_style, prompt_guardrails, signature, model_id, model_temp, max_tokens) "
        "VALUES ('208', '韭割哥', '技術派', %(text)s, %(text)s, %(text)s, %(text)s, "
        "'韭割哥', 'gpt-4o-mini', 0.7, 700)",
        {"text": persona},
    )
    run_alone(DRIVERS["postgen-store"], url, flags(at_once=1, calls=1, warmup=1))
    database.execute(
        f"CREATE TABLE sample_row AS SELECT {', '.join(COLUMNS)} FROM post_records LIMIT 1"
    )


def measure_store(rounds: int, url: str, database: psycopg.Connection) -> dict[str, Figures]:
    def measure_one(driver: Driver) -> Figures:
        database.execute("TRUNCATE post_records")
        database.execute("CHECKPOINT")
        figures = run_alone(driver, url, flags(at_once=AT_ONCE, calls=POSTS, warmup=POSTS // 10))
        stored = database.execute("SELECT count(*) FROM post_records").fetchone()
        if stored != (POSTS + POSTS // 10,):
            raise SystemExit(f"{driver.title}: {stored} rows")
        return figures

    rows = alternate([DRIVERS[key] for key in STORE_DRIVERS], rounds, measure_one)
    for row in rows.values():
        row["posts_per_s"] = row["calls"] / row["wall_s"]
        row["call_p50_ms"] = row["call_ms"]["p50"]
    return rows


def measure_profile(rounds: int, url: str) -> dict[str, Figures]:
    rows = alternate(
        [DRIVERS[key] for key in PROFILE_DRIVERS],
        rounds,
        lambda driver: run_alone(driver, url, flags(at_once=1, calls=LOOKUPS, warmup=20)),
    )
    for row in rows.values():
        row["call_p50_us"] = row["call_ms"]["p50"] * 1e3
        row["call_p99_us"] = row["call_ms"]["p99"] * 1e3
    return rows


def flags(*, at_once: int, calls: int, warmup: int) -> list[str]:
    return ["--concurrency", str(at_once), "--calls", str(calls), "--warmup", str(warmup)]


if __name__ == "__main__":
    sys.exit(main())
