"""The key and the passwords of PostgreSQL and Redis in nothing that is printed, written or kept,
whatever the environment says and whatever goes wrong."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from canary import KEY, PASSWORD, scan
from conftest import Postgres, StartEmulator, query
from test_cli import REQUEST_FLAGS, postgen_command

# What a process may find around it. libpq, libcurl and OpenSSL read these by themselves.
HOSTILE = {
    "PGHOST": "192.0.2.1",
    "PGHOSTADDR": "192.0.2.1",
    "PGPORT": "1",
    "PGUSER": "nobody",
    "PGPASSWORD": PASSWORD + "-of-the-environment",
    "PGDATABASE": "nowhere",
    "PGSERVICEFILE": "/nonexistent",
    "PGPASSFILE": "/dev/zero",
    "PGOPTIONS": "-c nonsense=on",
    "PGSSLMODE": "verify-full",
    "PGSSLROOTCERT": "/nonexistent",
    "PGAPPNAME": "hostile",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "http_proxy": "http://127.0.0.1:9",
    "https_proxy": "http://127.0.0.1:9",
    "ALL_PROXY": "socks5://127.0.0.1:9",
    "all_proxy": "socks5://127.0.0.1:9",
    "NO_PROXY": "",
    "no_proxy": "",
}

EVERYTHING = """
import json, os, traceback, postgen
generator = postgen.PostGenerator.from_env(llm={"ca_file": os.environ["CA_FILE"]},
                                           store={"spool": os.environ["SPOOL"]})
request = {"stock_code": "2330", "kol_serial": 208, "max_words": 60}
for event in generator.stream(request | {"idempotency_key": "one"}):
    print(event)
print(repr(generator), generator.metrics(), generator.metrics_text(), generator.diagnose())
for options in ({"llm": {"api_key": os.environ["OPENAI_API_KEY"] + "\\n" + "x"}},
                {"store": {"url": os.environ["DATABASE_URL"] + "?nonsense=1"}},
                {"store": {"url": os.environ["DATABASE_URL"].replace("5", "%zz")}},
                {"cache": {"url": os.environ["REDIS_URL"].replace("127", "%zz")}}):
    try:
        postgen.PostGenerator(**options)
    except postgen.Error as error:
        traceback.print_exc()
        print(error.details, error.reply)
    else:
        raise SystemExit(f"taken: {list(options)}")
"""


class Redis:
    """A server with a password, whose memory can be looked at."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self._port = probe.getsockname()[1]
        self.process = subprocess.Popen(
            ["redis-server", "--bind", "127.0.0.1", "--port", str(self._port), "--requirepass",
             PASSWORD + "-redis", "--dir", str(folder), "--save", "", "--rdbcompression", "no"],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        assert any("eady to accept connections" in line for line in self.process.stdout)
        self.url = f"redis://:{PASSWORD}-redis@127.0.0.1:{self._port}"

    def dump(self) -> Path:
        with socket.create_connection(("127.0.0.1", self._port)) as connection:
            connection.sendall(f"AUTH {PASSWORD}-redis\r\nSAVE\r\n".encode())
            answer = b""
            while answer.count(b"\n") < 2:
                answer += connection.recv(100)
        assert answer == b"+OK\r\n+OK\r\n"
        return self._folder / "dump.rdb"


@contextmanager
def running_redis(folder: Path) -> Iterator[Redis]:
    redis = Redis(folder)
    with redis.process:
        yield redis
        redis.process.terminate()


@pytest.fixture
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


def test_the_scan_finds_what_is_planted() -> None:
    with tempfile.TemporaryDirectory() as name:  # not where the whole run's scan looks
        plant_and_scan(Path(name))


def plant_and_scan(folder: Path) -> None:
    (folder / "clean.log").write_text("a test named canary: sk-canary, pw-canary-5d2e8")
    planted = [
        KEY.encode(),
        KEY.encode("utf-16-le"),
        f"postgresql://u:{PASSWORD}-x@h/db".encode(),
        base64.b64encode(f"Bearer {KEY} and more".encode()),
        base64.b64encode(f"AUTH {PASSWORD}".encode()),
        f"--{KEY}--".encode().hex().encode(),
    ]
    (folder / "deep").mkdir()
    for number, text in enumerate(planted):
        (folder / "deep" / f"{number}.bin").write_bytes(b"\0" * number + text + b"\xff" * 9)
    count, found = scan([folder])
    assert count == len(planted) + 1
    assert len(found) == len(planted)


def test_canary(
    start_emulator: StartEmulator, postgres: Postgres, redis: Redis, tmp_path: Path
) -> None:
    # The right key, user and passwords: nothing below would work without them.
    emulator = start_emulator(f"--api-key={KEY}", "--tls", f"--tls-ca-out={tmp_path}/ca.pem")
    query(postgres.url, f"CREATE ROLE canary LOGIN SUPERUSER PASSWORD '{PASSWORD}-5'")
    parts = urlsplit(postgres.url)
    store = parts._replace(netloc=f"canary:{PASSWORD}-5@127.0.0.1:{parts.port}").geturl()
    spool = tmp_path / "spool"
    environment = HOSTILE | {
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": emulator.url,
        "DATABASE_URL": store,
        "REDIS_URL": redis.url,
        "CA_FILE": str(tmp_path / "ca.pem"),
        "SPOOL": str(spool),
        "SSLKEYLOGFILE": str(tmp_path / "keylog"),
    }
    flags = [f"--store-spool={spool}", f"--llm-ca-file={tmp_path}/ca.pem"]
    number = 0

    def run(*arguments: str, fails: bool = False, **changed: str) -> str:
        nonlocal number
        done = postgen_command(*arguments, *flags, env=environment | changed)
        number += 1
        (tmp_path / f"{number}.out").write_text(done.stdout + done.stderr)
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    wrong = {
        "OPENAI_API_KEY": KEY + "-wrong",
        "DATABASE_URL": store.replace(PASSWORD, PASSWORD + "-wrong"),
        "REDIS_URL": redis.url.replace(PASSWORD, PASSWORD + "-wrong"),
    }
    run("migrate")
    post = json.loads(run("generate", *REQUEST_FLAGS, "--json"))
    assert post["postgen"]["stored"] == "stored"
    assert run("doctor").count("ok") >= 4
    for name, value in wrong.items():
        run("doctor", fails=name != "REDIS_URL", **{name: value})
        run("generate", *REQUEST_FLAGS, "--json", "--cache=bypass", fails=name != "REDIS_URL",
            **{name: value})  # fmt: skip
    run("migrate", fails=True, DATABASE_URL=wrong["DATABASE_URL"])
    everything = subprocess.run(
        [sys.executable, "-c", EVERYTHING], env=os.environ | environment | {"SSL_CERT_FILE": ""},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    (tmp_path / "everything.out").write_text(everything.stdout + everything.stderr)
    assert everything.returncode == 0, everything.stdout + everything.stderr

    postgres.stop()
    assert "spooled" in run("generate", *REQUEST_FLAGS, "--json", "--cache=bypass")
    assert "waits" in run("spool", "list")
    run("spool", "flush", fails=True)
    run("doctor", fails=True)
    postgres.start()

    dump = tmp_path / "dump.sql"
    query(postgres.url, "ALTER ROLE canary PASSWORD NULL")
    with dump.open("w") as file:
        subprocess.run(["pg_dump", postgres.url], check=True, stdout=file)
    # There is something to look through.
    text = post["content"]["content"].encode()
    assert text in dump.read_bytes()
    assert text in redis.dump().read_bytes()
    assert any(file.suffix == ".spool" for file in spool.iterdir())
    count, found = scan([tmp_path, redis.dump()])
    assert count > 15
    assert found == []
    assert not Path(environment["SSLKEYLOGFILE"]).exists() or not os.path.getsize(
        environment["SSLKEYLOGFILE"]
    )
