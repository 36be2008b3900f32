"""What an answer from a cache costs in Python: `cache_python.py KIND --url URL`, as one document.

postgen      a whole `generate` of five cached versions, no store; URL: where they are written first
cachetools   a hit in a TTLCache
redis-py     a hit in Redis; URL: of the server
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from importlib.metadata import version

WARM_UP = 500
CALLS = 5000
ENTRIES = 1000
VALUE = "x" * 1000
VERSIONS = 5


def measure(call: Callable[[int], object]) -> list[float]:
    """The times of single calls, in microseconds, sorted."""
    times = []
    for number in range(-WARM_UP, CALLS):
        before = time.perf_counter()
        call(number % ENTRIES)
        after = time.perf_counter()
        if number >= 0:
            times.append((after - before) * 1e6)
    return sorted(times)


def measure_postgen(url: str) -> dict[str, object]:
    import postgen

    request = {"stock_code": "2330", "stock_name": "台積電", "kol_serial": 208}
    with postgen.PostGenerator(llm={"base_url": url, "api_key": "bench"}) as generator:
        generator.generate(request)
        times = measure(lambda _: generator.generate(request))
        failures = int(generator.metrics()["cache"]["misses"]) - VERSIONS
    return {
        "version": postgen.__version__,
        "generate_us": times[CALLS // 2],
        "generate_p99_us": times[CALLS * 99 // 100],
        "failures": failures,
    }


def measure_cachetools(_: str) -> dict[str, object]:
    import cachetools

    cache: cachetools.TTLCache[str, str] = cachetools.TTLCache(maxsize=ENTRIES, ttl=3600)
    keys = [f"{number:064x}" for number in range(ENTRIES)]
    for key in keys:
        cache[key] = VALUE
    before = time.perf_counter()
    hits = sum(cache.get(keys[number % ENTRIES]) is not None for number in range(CALLS * 20))
    each = (time.perf_counter() - before) / (CALLS * 20) * 1e6
    return {
        "version": version("cachetools"),
        "hit_us": each,
        "failures": CALLS * 20 - hits,
    }


def measure_redis(url: str) -> dict[str, object]:
    import redis

    client = redis.Redis.from_url(url)
    keys = [f"{number:064x}" for number in range(ENTRIES)]
    for key in keys:
        client.set(key, VALUE)
    times = measure(lambda number: client.get(keys[number]))
    return {
        "version": version("redis"),
        "hit_us": times[CALLS // 2],
        "failures": sum(client.get(key) is None for key in keys),
    }


KINDS = {"postgen": measure_postgen, "cachetools": measure_cachetools, "redis-py": measure_redis}


def main() -> None:
    kind, _, url = sys.argv[1:4]
    print(json.dumps(KINDS[kind](url)))


main()
