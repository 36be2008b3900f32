"""The emulator over real sockets, and generators that use it."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

import pytest

import postgen
from canary import KEY
from postgen.cli import emulator as emulator_program

# Nothing of the machine's environment may reach a test.
for _variable in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "DATABASE_URL", "REDIS_URL"):
    os.environ.pop(_variable, None)

_PATIENCE_S = 30


class Emulator:
    def __init__(self, url: str) -> None:
        self.url = url

    def ledger(self) -> dict[str, Any]:
        with urllib.request.urlopen(self.url.removesuffix("/v1") + "/ledger") as reply:
            ledger: dict[str, Any] = json.load(reply)
        return ledger

    def wait_for(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first ledger that satisfies `condition`."""
        give_up = time.monotonic() + _PATIENCE_S
        while not condition(ledger := self.ledger()):
            if time.monotonic() > give_up:
                pytest.fail(f"the emulator never came so far: {ledger}")
            time.sleep(0.005)
        return ledger


StartEmulator = Callable[..., Emulator]
MakeGenerator = Callable[..., postgen.PostGenerator]


@pytest.fixture
def start_emulator() -> Iterator[StartEmulator]:
    with ExitStack() as stack:

        def start(*flags: str) -> Emulator:
            fast = ("--ttft-ms=1", "--tokens-per-s=0")
            return Emulator(stack.enter_context(emulator_program.running(*fast, *flags)))

        yield start


@pytest.fixture
def emulator(start_emulator: StartEmulator) -> Emulator:
    """One that answers at once."""
    return start_emulator()


@pytest.fixture
def make_generator() -> Iterator[MakeGenerator]:
    """Generators that the test need not close."""
    made: list[postgen.PostGenerator] = []

    def make(emulator: Emulator, **options: Any) -> postgen.PostGenerator:
        llm = {"base_url": emulator.url, "api_key": KEY} | options.pop("llm", {})
        made.append(postgen.PostGenerator(llm=llm, **options))
        return made[-1]

    yield make
    for generator in made:
        generator.close(drain_ms=0)


@pytest.fixture
def generator(make_generator: MakeGenerator, emulator: Emulator) -> postgen.PostGenerator:
    return make_generator(emulator)


@pytest.fixture
def request_() -> dict[str, Any]:
    return {"stock_code": "2330", "stock_name": "台積電", "kol_serial": 208, "max_words": 100}


def query(url: str, sql: str) -> str:
    return subprocess.run(
        ["psql", url, "-XAtq", "-c", sql], check=True, capture_output=True, text=True
    ).stdout.strip()


class Postgres:
    """A database of its own in the server of scripts/with-postgres, which the tests of this folder
    have to themselves: they run one after the other."""

    def __init__(self) -> None:
        server = os.environ["POSTGEN_TEST_POSTGRES_URL"]
        name = f"durability_{uuid.uuid4().hex}"
        query(server, f"CREATE DATABASE {name}")
        self.url = urlsplit(server)._replace(path=f"/{name}").geturl()
        with postgen.PostGenerator(llm={"provider": "template"}, store={"url": self.url}) as made:
            made.migrate()

        self._running = True

    def stop(self) -> None:
        self._control("stop", "-m", "immediate")
        self._running = False

    def start(self) -> None:
        if not self._running:
            self._control("start")
        self._running = True

    def texts(self) -> dict[str, str]:
        """post_id -> content; a row that is there twice fails the test."""
        answer = query(self.url, "SELECT json_agg(json_build_array(post_id, content))"
                                 " FROM post_records")  # fmt: skip
        pairs = json.loads(answer or "[]")
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    @staticmethod
    def _control(*arguments: str) -> None:
        # Not captured: the server would keep the pipe.
        subprocess.run(
            [os.environ["POSTGEN_TEST_POSTGRES_CTL"], *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    database = Postgres()
    yield database
    database.start()  # for whoever comes next
