"""Import, fork and exit, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from conftest import Emulator, StartEmulator

# Less than the posts' own deadline: who waits for them hangs.
_LIMIT_S = 60


def run_python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-X", "dev", "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=_LIMIT_S,
        check=False,
    )


PROLOGUE = """
import asyncio, logging, os, sys, threading, warnings
import postgen

# Development mode reports whatever a loaded machine is slow at.
logging.getLogger("asyncio").setLevel(logging.ERROR)

def make(**options):
    return postgen.PostGenerator(llm={"base_url": sys.argv[1], "api_key": "k"}, **options)

REQUEST = {"stock_code": "2330", "stock_name": "台積電", "kol_serial": 208}
"""


def test_import_starts_and_imports_nothing_more() -> None:
    done = run_python(
        "import asyncio, os, sys\n"
        "before = len(os.listdir('/proc/self/task'))\n"
        "import postgen\n"
        "print(len(os.listdir('/proc/self/task')) - before)\n"
        "print([name for name in ('rich', 'argparse', 'tomllib', 'http.client', 'sqlite3')\n"
        "       if name in sys.modules])\n"
    )
    assert done.stdout.splitlines() == ["0", "[]"], done.stderr


def test_a_forked_child_makes_its_own_engine(emulator: Emulator) -> None:
    """Parent and child both go on; the child warns once and leaves the parent's sockets alone."""
    done = run_python(
        PROLOGUE
        + """
generator = make()
generator.generate(REQUEST)
child = os.fork()
if child == 0:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for number in range(2):
            assert generator.generate(REQUEST | {"stock_code": str(number)}).ok
        assert asyncio.run(generator.agenerate(REQUEST | {"stock_code": "9"})).ok
    assert [w.category for w in caught] == [RuntimeWarning], caught
    sys.exit(0)
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 0, status
for number in range(3):
    assert generator.generate(REQUEST | {"stock_code": str(100 + number)}).ok
print("done")
""",
        emulator.url,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("done\n", "", 0)


def test_forks_while_posts_are_under_way(start_emulator: StartEmulator) -> None:
    emulator = start_emulator("--ttft-ms=30")
    done = run_python(
        PROLOGUE
        + """
warnings.simplefilter("ignore")
generator = make(cache={"url": "none:"})
outcomes = []

def work():
    for _ in range(10):
        outcomes.append(generator.generate(REQUEST | {"versions": 1}).ok)

threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads: thread.start()
children = []
for number in range(8):
    child = os.fork()
    if child == 0:
        assert generator.generate(REQUEST | {"versions": 1}).ok
        generator.close()
        os._exit(0)
    children.append(child)
codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
for thread in threads: thread.join()
print(codes == [0] * 8, outcomes == [True] * 40)
""",
        emulator.url,
    )
    assert (done.stdout, done.returncode) == ("True True\n", 0), done.stderr


def test_multiprocessing(emulator: Emulator) -> None:
    done = run_python(
        PROLOGUE
        + """
import multiprocessing
warnings.simplefilter("ignore")
generator = make()

def work(number):
    return generator.generate(REQUEST | {"stock_code": str(number)}).ok

with multiprocessing.get_context("fork").Pool(3) as pool:
    print(pool.map(work, range(9)) == [True] * 9)
""",
        emulator.url,
    )
    assert (done.stdout, done.returncode) == ("True\n", 0), done.stderr


EXITS = {
    "a daemon thread waits": """
threading.Thread(target=lambda: generator.generate(REQUEST), daemon=True).start()
wait_until_sent()
""",
    "many daemon threads wait": """
for number in range(20):
    request = REQUEST | {"stock_code": str(number)}
    threading.Thread(target=generator.generate, args=(request,), daemon=True).start()
wait_until_sent()
""",
    "a stream is open": """
events = generator.stream(REQUEST)
next(events)
""",
    "a task is dropped": """
async def main():
    task = asyncio.create_task(generator.agenerate(REQUEST))
    await asyncio.sleep(0)
    await asyncio.to_thread(wait_until_sent)
asyncio.run(main())
""",
    "an own part is busy": """
import time
class Slow:
    def complete(self, request):
        entered.set()
        time.sleep(600)
entered = threading.Event()
other = postgen.PostGenerator(parts={"llm": Slow()})
events = other.stream(REQUEST)
next(events)
entered.wait()
""",
    "a slow finalizer": """
class Keeper:
    def __del__(self):
        generator.metrics()
keeper = Keeper()
keeper.me = keeper
threading.Thread(target=lambda: generator.generate(REQUEST), daemon=True).start()
wait_until_sent()
""",
}


@pytest.mark.parametrize("way", EXITS)
def test_exit_with_posts_in_flight(start_emulator: StartEmulator, way: str) -> None:
    emulator = start_emulator("--fail=stall")
    quiet = "def quiet(*_): pass\nthreading.excepthook = quiet\n"  # posts end as cancelled
    ledger = """
import json, time, urllib.request
def wait_until_sent():
    url = sys.argv[1].removesuffix("/v1") + "/ledger"
    while True:
        with urllib.request.urlopen(url) as reply:
            if json.load(reply)["in_flight"]:
                return
        time.sleep(0.005)
generator = make()
"""
    done = run_python(PROLOGUE + quiet + ledger + EXITS[way], emulator.url)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
    emulator.wait_for(lambda ledger: ledger["in_flight"] == 0)


def test_control_c(start_emulator: StartEmulator) -> None:
    emulator = start_emulator("--fail=stall")
    done = run_python(
        PROLOGUE
        + """
import signal
def interrupt(*_): raise KeyboardInterrupt
signal.signal(signal.SIGALRM, interrupt)
generator = make()
signal.setitimer(signal.ITIMER_REAL, 0.3)
try:
    generator.generate(REQUEST)
except KeyboardInterrupt:
    print("interrupted")
""",
        emulator.url,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("interrupted\n", "", 0)


def test_sub_interpreters_are_refused() -> None:
    interpreters: Any = pytest.importorskip("_xxsubinterpreters")
    interpreter = interpreters.create()
    try:
        with pytest.raises(interpreters.RunFailedError, match="sub-interpreters"):
            interpreters.run_string(interpreter, "import postgen._core")
    finally:
        interpreters.destroy(interpreter)
