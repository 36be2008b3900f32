"""What is paid once, kept while the store is away, and moved when it is back."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import postgen
from conftest import Emulator, MakeGenerator, Postgres, StartEmulator, query
from test_cli import REQUEST_FLAGS, llm_flags, postgen_command, rows

VERSIONS = 5


def stored(post: postgen.Post) -> str:
    return str(post.reply["postgen"]["stored"])


# --- The store goes away


def test_postgres_stopped_under_load(
    start_emulator: StartEmulator,
    make_generator: MakeGenerator,
    postgres: Postgres,
    request_: dict[str, Any],
    tmp_path: Path,
) -> None:
    emulator = start_emulator("--record-prompts")
    query(
        postgres.url,
        "INSERT INTO kol_profiles (serial, nickname, persona) VALUES ('208', '老王本人', '短線客')",
    )
    generator = make_generator(
        emulator,
        store={"url": postgres.url, "spool": str(tmp_path)},
        profiles={"ttl_s": 1},
        cache={"url": "none:"},
        llm={"hedge": "off"},
    )
    request = request_ | {"versions": 1, "deadline_ms": 20_000}
    before = generator.generate(request)
    assert stored(before) == "stored"

    postgres.stop()
    generator.refresh_profiles()
    with ThreadPoolExecutor(8) as threads:
        while_away = list(threads.map(lambda _: generator.generate(request), range(40)))
    assert {stored(post) for post in while_away} == {"spooled"}
    assert not any(post.reply["postgen"]["deadline_hit"] for post in while_away)
    assert all(any("last known" in text for text in post.warnings) for post in while_away)
    assert generator.metrics()["spool"]["waiting"] == 40
    assert any(
        found["subject"] == "spool" and "40 posts wait" in found["message"]
        for found in generator.diagnose()
    )
    prompts = [str(call["messages"]) for call in emulator.ledger()["requests"]]
    assert len(prompts) == 41
    assert all("老王本人" in prompt for prompt in prompts)

    postgres.start()
    generator.flush_spool()
    assert postgres.texts() == {post.post_id: post.content for post in [before, *while_away]}
    spool = generator.metrics()["spool"]
    assert (spool["waiting"], spool["moved"]) == (0, 40)
    assert stored(generator.generate(request)) == "stored"


def test_the_spool_by_hand(emulator: Emulator, postgres: Postgres, tmp_path: Path) -> None:
    store = [f"--store={postgres.url}", f"--store-spool={tmp_path}"]
    nothing = postgen_command("spool", "list", *store)
    assert (nothing.stdout, nothing.stderr, nothing.returncode) == ("nothing waits\n", "", 0)

    postgres.stop()
    made = []
    for _ in range(2):  # each leaves a file that the next process takes over
        done = postgen_command("generate", *REQUEST_FLAGS, *llm_flags(emulator), *store, "--json")
        assert done.returncode == 0, done.stderr
        reply = json.loads(done.stdout)
        assert reply["postgen"]["stored"] == "spooled"
        made.append((reply["post_id"], reply["content"]["content"]))
    listed = postgen_command("spool", "list", *store, "--json")
    assert {post["post_id"] for post in json.loads(listed.stdout)} == dict(made).keys()
    assert postgen_command("spool", "list", *store).stdout.count("waits") == 2
    away = postgen_command("spool", "flush", *store)
    assert away.returncode != 0
    assert "cannot be reached" in away.stderr or "connect" in away.stderr, away.stderr
    doctor = postgen_command("doctor", *store, "--llm-provider=template")
    assert "2 posts wait" in doctor.stdout + doctor.stderr

    postgres.start()
    flushed = postgen_command("spool", "flush", *store)
    assert (flushed.stdout, flushed.stderr, flushed.returncode) == ("nothing waits\n", "", 0)
    assert postgres.texts() == dict(made)
    assert list(tmp_path.iterdir()) == []


def test_a_post_that_the_store_refused_is_told_whole_and_moved_when_it_can_be(
    emulator: Emulator, postgres: Postgres, tmp_path: Path
) -> None:
    store = [f"--store={postgres.url}", f"--store-spool={tmp_path}"]
    query(postgres.url, "ALTER TABLE post_records ALTER COLUMN title TYPE varchar(2)")
    postgres.stop()
    made = postgen_command(
        "generate", *REQUEST_FLAGS, *llm_flags(emulator), *store,
        "--title=四個字的", "--content=內文", "--json",
    )  # fmt: skip
    reply = json.loads(made.stdout)
    assert reply["postgen"]["stored"] == "spooled"

    postgres.start()
    for _ in range(2):
        flushed = postgen_command("spool", "flush", *store)
        assert flushed.returncode == 1
        assert flushed.stdout.startswith(f"{reply['post_id']}  2330  四個字的  ")
        assert flushed.stderr.startswith("postgen: 1 left in the spool: 1 post stays")
    listed = postgen_command("spool", "list", *store, "--json")
    assert listed.returncode == 0
    [post] = json.loads(listed.stdout)
    assert post["content"] == reply["content"]["content"] == "內文"
    assert (post["title"], post["kol_serial"], post["status"]) == ("四個字的", 208, "draft")
    assert post["refusal"]

    query(postgres.url, "ALTER TABLE post_records ALTER COLUMN title TYPE varchar(200)")
    done = postgen_command("spool", "flush", *store)
    assert (done.stdout, done.stderr, done.returncode) == ("nothing waits\n", "", 0)
    assert postgres.texts() == {reply["post_id"]: "內文"}


def test_a_full_spool_takes_no_new_posts(
    emulator: Emulator, make_generator: MakeGenerator, postgres: Postgres, request_: dict[str, Any],
    tmp_path: Path,
) -> None:  # fmt: skip
    generator = make_generator(
        emulator,
        store={"url": postgres.url, "spool": str(tmp_path), "spool_max_bytes": 65536},
        cache={"url": "none:"},
        llm={"hedge": "off"},
    )
    postgres.stop()
    posts: list[postgen.Post] = []
    while all(post.ok for post in posts):
        posts.extend(generator.batch([request_] * 8))
    kept = [post for post in posts if post.ok]
    refused = {(post.reply["error_type"], post.status) for post in posts if not post.ok}
    assert refused == {("busy", 503)}
    assert {stored(post) for post in kept} == {"spooled"}
    # Nothing for those that were refused.
    assert emulator.ledger()["requests_total"] == VERSIONS * len(kept)
    postgres.start()
    generator.flush_spool()
    assert len(postgres.texts()) == len(kept)
    assert stored(generator.generate(request_)) == "stored"


# --- The process goes away

BATCH = [
    {"stock_code": str(number), "kol_serial": 208, "versions": 1, "max_words": 60}
    for number in range(1, 201)
]


def batch_until_sigterm(
    emulator: Emulator, folder: Path, *flags: str
) -> tuple[dict[str, str], list[str]]:
    """The posts that a batch of the command had made, as post_id -> text, and the codes of the
    other requests: it was told to end as soon as there was one."""
    requests = folder / "posts.jsonl"
    requests.write_text("".join(json.dumps(request) + "\n" for request in BATCH))
    process = subprocess.Popen(
        [sys.executable, "-m", "postgen", "batch", str(requests), *llm_flags(emulator),
         "--concurrency=4", *flags],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    emulator.wait_for(lambda ledger: bool(ledger["completed"] and ledger["in_flight"]))
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1, err
    replies = [json.loads(line) for line in out.splitlines()]
    assert len(replies) == len(BATCH)  # every request has its line
    assert emulator.ledger()["requests_total"] < len(BATCH)
    made = {r["post_id"]: r["content"]["content"] for r in replies if r["success"]}
    return made, [reply["error_type"] for reply in replies if not reply["success"]]


def test_sigterm_drains_a_batch(start_emulator: StartEmulator, tmp_path: Path) -> None:
    emulator = start_emulator("--fixed-ms=300")
    database = tmp_path / "posts.db"
    made, codes = batch_until_sigterm(emulator, tmp_path, f"--store=sqlite:{database}")
    assert set(codes) == {"closed"}
    assert len(made) == emulator.ledger()["requests_total"]
    assert {row[0]: row[3] for row in rows(database)} == made


def test_sigterm_drains_a_batch_into_the_spool(
    start_emulator: StartEmulator, postgres: Postgres, tmp_path: Path
) -> None:
    """The same with the store away, and with a call that takes too long."""
    emulator = start_emulator("--fixed-ms=300", "--fail=stall#1")
    flags = [f"--store={postgres.url}", f"--store-spool={tmp_path}/spool"]
    postgres.stop()
    made, codes = batch_until_sigterm(emulator, tmp_path, *flags)
    assert codes.count("cancelled") == 1
    assert set(codes) == {"cancelled", "closed"}
    assert len(made) == emulator.ledger()["requests_total"] - 1
    postgres.start()
    assert postgen_command("spool", "flush", *flags).stdout == "nothing waits\n"
    assert postgres.texts() == made


# --- The same key again

ASK = """
import json, sys, postgen
llm, store, request = sys.argv[1:]
with postgen.PostGenerator(
    llm={"base_url": llm, "api_key": "k"}, cache={"url": "none:"}, store=json.loads(store)
) as generator:
    print("ready", flush=True)
    for event in generator.stream(json.loads(request)):
        if event["type"] == "version_done":
            print("version", flush=True)
        elif event["type"] == "post":
            print(json.dumps([event["result"]["post_id"], event["result"]["content"]["content"]]))
        elif event["type"] == "error":
            print(json.dumps(event["result"]["error_type"]))
"""


class Asker:
    """A process that asks for one post."""

    def __init__(self, emulator: Emulator, store: dict[str, Any], request: dict[str, Any]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", ASK, emulator.url, json.dumps(store), json.dumps(request)],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.wait_for("ready")

    def wait_for(self, line: str) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == line + "\n"

    def answer(self) -> Any:
        """[post_id, content], or an error's code."""
        out, _ = self._process.communicate(timeout=60)
        return json.loads(out.splitlines()[-1])

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    if request.param == "sqlite":
        return {"url": f"sqlite:{tmp_path}/posts.db", "spool": str(tmp_path / "spool")}
    return {"url": Postgres().url, "spool": str(tmp_path / "spool")}


def execute(store: dict[str, Any], sql: str) -> None:
    url = store["url"]
    if url.startswith("sqlite:"):
        with sqlite3.connect(url.removeprefix("sqlite:")) as connection:
            connection.execute(sql)
        connection.close()
    else:
        query(url, sql)


def count_rows(store: dict[str, Any]) -> int:
    url = store["url"]
    if url.startswith("sqlite:"):
        return len(rows(Path(url.removeprefix("sqlite:"))))
    return int(query(url, "SELECT count(*) FROM post_records"))


KEYED = {"stock_code": "2330", "kol_serial": 208, "max_words": 60, "idempotency_key": "order-1"}


def test_a_key_in_one_process_after_the_other(emulator: Emulator, store: dict[str, Any]) -> None:
    first = Asker(emulator, store, KEYED).answer()
    assert len(first) == 2, first
    assert Asker(emulator, store, KEYED | {"deadline_ms": 9000}).answer() == first
    assert Asker(emulator, store, KEYED | {"stock_code": "2317"}).answer() == "conflict"
    done = postgen_command(
        "generate", "--stock-code=2330", "--kol-serial=208", "--max-words=60",
        "--idempotency-key=order-1", *llm_flags(emulator), f"--store={store['url']}", "--json",
    )  # fmt: skip
    assert json.loads(done.stdout)["post_id"] == first[0], done.stderr
    assert emulator.ledger()["requests_total"] == VERSIONS
    assert count_rows(store) == 1
    assert Asker(emulator, store, KEYED | {"tenant": "another"}).answer()[0] != first[0]


def test_a_spool_that_another_program_has_locked(
    emulator: Emulator, make_generator: MakeGenerator, store: dict[str, Any]
) -> None:
    """The journal is late, the row is not; and its key is paid once."""
    generator = make_generator(emulator, store=store, cache={"url": "none:"})
    assert stored(generator.generate({"stock_code": "2317", "kol_serial": 208})) == "stored"
    [spool] = Path(store["spool"]).glob("*.spool")
    with closing(sqlite3.connect(spool, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        post = generator.generate(KEYED | {"deadline_ms": 3000})
        assert stored(post) == "stored"
        assert len([text for text in post.warnings if "could not be journaled" in text]) == 1
        assert generator.generate(KEYED).post_id == post.post_id
    assert emulator.ledger()["requests_total"] == 2 * VERSIONS
    assert count_rows(store) == 2


def test_a_key_in_many_processes_at_once(
    start_emulator: StartEmulator, store: dict[str, Any]
) -> None:
    emulator = start_emulator("--ttft-ms=500")
    askers = [Asker(emulator, store, KEYED) for _ in range(4)]
    answers = [asker.answer() for asker in askers]
    assert answers == [answers[0]] * 4
    assert len(answers[0]) == 2
    assert emulator.ledger()["requests_total"] == VERSIONS
    assert count_rows(store) == 1


def test_a_second_caller_waits_until_its_own_deadline(
    start_emulator: StartEmulator, store: dict[str, Any]
) -> None:
    emulator = start_emulator("--fail=stall")
    owner = Asker(emulator, store, KEYED)
    emulator.wait_for(lambda ledger: ledger["in_flight"] == VERSIONS)
    assert Asker(emulator, store, KEYED | {"deadline_ms": 1500}).answer() == "deadline"
    assert emulator.ledger()["requests_total"] == VERSIONS
    owner.kill()
    assert count_rows(store) == 0


def test_a_key_whose_owner_was_killed(start_emulator: StartEmulator, store: dict[str, Any]) -> None:
    """Another process takes it over when its lease is over, under the same post id: one row."""
    stalling = start_emulator("--fail=stall")
    owner = Asker(stalling, store, KEYED)
    stalling.wait_for(lambda ledger: ledger["in_flight"] == VERSIONS)
    owner.kill()
    execute(store, "UPDATE postgen_requests SET lease_until_ms = 0")
    emulator = start_emulator()
    taken_over = Asker(emulator, store, KEYED).answer()
    assert len(taken_over) == 2, taken_over
    assert Asker(emulator, store, KEYED).answer() == taken_over
    assert emulator.ledger()["requests_total"] == VERSIONS
    assert count_rows(store) == 1


def test_a_key_whose_row_was_deleted(emulator: Emulator, store: dict[str, Any]) -> None:
    """Nobody waits for a post that will not come, and nothing is paid a second time."""
    assert len(Asker(emulator, store, KEYED).answer()) == 2
    execute(store, "DELETE FROM post_records")
    assert Asker(emulator, store, KEYED).answer() == "conflict"
    assert emulator.ledger()["requests_total"] == VERSIONS
    assert count_rows(store) == 0


def test_a_finished_version_of_a_killed_owner_is_the_post(
    start_emulator: StartEmulator, store: dict[str, Any]
) -> None:
    """What was journaled is the key's post from then on, and nothing is paid again."""
    partly = start_emulator("--fail=stall@5")  # one of five calls stalls
    owner = Asker(partly, store, KEYED)
    for _ in range(VERSIONS - 1):
        owner.wait_for("version")
    owner.kill()
    execute(store, "UPDATE postgen_requests SET lease_until_ms = 0")
    emulator = start_emulator()
    answer = Asker(emulator, store, KEYED).answer()
    assert len(answer) == 2, answer
    assert emulator.ledger()["requests_total"] == 0
    assert Asker(emulator, store, KEYED).answer() == answer
    assert count_rows(store) == 1
