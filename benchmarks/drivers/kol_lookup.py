"""A KOL's profile over a new connection each time, as the app reads it.

kol_lookup.py psycopg2|asyncpg --url ...
"""

from __future__ import annotations

import asyncio
import sys

import asyncpg
import psycopg2
from workload import Recorder, arguments, drive

_SERIAL = "208"


async def with_psycopg2(url: str) -> bool:
    # Blocking, in the event loop: so it is in the app.
    connection = psycopg2.connect(url)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT * FROM kol_profiles WHERE serial = %s", (_SERIAL,))
            return cursor.fetchone() is not None
    finally:
        connection.close()


async def with_asyncpg(url: str) -> bool:
    connection = await asyncpg.connect(url)
    try:
        row = await connection.fetchrow("SELECT * FROM kol_profiles WHERE serial = $1", _SERIAL)
        return row is not None
    finally:
        await connection.close()


async def main() -> None:
    name = sys.argv.pop(1)
    client, version = {
        "psycopg2": (with_psycopg2, psycopg2.__version__.split()[0]),
        "asyncpg": (with_asyncpg, asyncpg.__version__),
    }[name]
    workload = arguments()
    recorder = Recorder(workload)
    await drive(workload, recorder, lambda _: client(workload.url))
    recorder.report(name, version)


asyncio.run(main())
