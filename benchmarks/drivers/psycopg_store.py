"""psycopg 3, one insert a transaction, which its pool's `connection()` begins and commits."""

from __future__ import annotations

import asyncio
import sys

import psycopg
from psycopg_pool import AsyncConnectionPool
from store_row import SELECT, insert, renewed
from workload import Recorder, arguments, drive

_POOL = 10


async def main() -> None:
    # Without the transaction's own BEGIN and COMMIT: the server commits each statement.
    autocommit = "--autocommit" in sys.argv
    if autocommit:
        sys.argv.remove("--autocommit")
    workload = arguments()
    recorder = Recorder(workload)
    async with AsyncConnectionPool(
        workload.url,
        min_size=_POOL,
        max_size=_POOL,
        open=False,
        kwargs={"autocommit": autocommit},
    ) as pool:
        await pool.wait()
        async with pool.connection() as connection:
            cursor = await connection.execute(SELECT)
            row = await cursor.fetchone()
        assert row is not None
        assert cursor.description is not None
        statement = insert((column.name for column in cursor.description), ["%s"] * len(row))

        async def store(_: int) -> bool:
            async with pool.connection() as connection:
                await connection.execute(statement, renewed(row))
            return True

        await drive(workload, recorder, store)
    recorder.report("psycopg", psycopg.__version__)


asyncio.run(main())
