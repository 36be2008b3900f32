"""asyncpg, one insert a transaction: `Pool.execute`, which commits by itself."""

from __future__ import annotations

import asyncio

import asyncpg
from store_row import SELECT, insert, renewed
from workload import Recorder, arguments, drive

_POOL = 10


async def main() -> None:
    workload = arguments()
    recorder = Recorder(workload)
    async with asyncpg.create_pool(workload.url, min_size=_POOL, max_size=_POOL) as pool:
        sample = await pool.fetchrow(SELECT)
        row = list(sample)
        statement = insert(sample.keys(), [f"${number + 1}" for number in range(len(row))])

        async def store(_: int) -> bool:
            await pool.execute(statement, *renewed(row))
            return True

        await drive(workload, recorder, store)
    recorder.report("asyncpg", asyncpg.__version__)


asyncio.run(main())
