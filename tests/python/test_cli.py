"""The command, as a process."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import postgen
from canary import KEY
from conftest import Emulator, StartEmulator
from test_generate import REPLY_KEYS

_LIMIT_S = 120

REQUEST_FLAGS = ["--stock-code=2330", "--stock-name=台積電", "--kol-serial=208", "--max-words=100"]


def postgen_command(
    *arguments: str, stdin: str = "", env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "postgen", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=_LIMIT_S,
        check=False,
        env={**os.environ, "PYTHONUTF8": "1", **(env or {})},
    )


def llm_flags(emulator: Emulator) -> list[str]:
    return [f"--base-url={emulator.url}", f"--api-key={KEY}"]


def rows(database: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(
            "SELECT post_id, stock_code, title, content FROM post_records ORDER BY created_at"
        ).fetchall()


def test_generate_json(emulator: Emulator, tmp_path: Path) -> None:
    database = tmp_path / "posts.db"
    done = postgen_command(
        "generate", *REQUEST_FLAGS, *llm_flags(emulator), f"--store=sqlite:{database}", "--json"
    )
    assert (done.stderr, done.returncode) == ("", 0)
    reply = json.loads(done.stdout)
    assert list(reply) == REPLY_KEYS
    assert list(reply["content"]) == ["title", "content", "content_md"]
    assert reply["kol_info"]["kol_nickname"] == "KOL-208"
    facts = reply["postgen"]
    assert list(facts) == [
        "model",
        "provider",
        "chosen",
        "versions",
        "usage",
        "cost_usd",
        "timings_ms",
        "stored",
        "from_cache",
        "deadline_hit",
        "warnings",
    ]
    assert list(facts["versions"][0]) == [
        "version_number",
        "angle",
        "title",
        "content",
        "words",
        "within_limit",
        "source",
        "model",
        "finish_reason",
        "attempts",
        "ttft_ms",
        "total_ms",
        "usage",
        "usage_kind",
        "cost_usd",
        "request_id",
        "error",
    ]
    assert facts["stored"] == "stored"
    content = reply["content"]
    assert rows(database) == [(reply["post_id"], "2330", content["title"], content["content"])]


def test_generate_for_people(emulator: Emulator) -> None:
    done = postgen_command("generate", *REQUEST_FLAGS, *llm_flags(emulator))
    assert (done.stderr, done.returncode) == ("", 0)
    for expected in ("台積電 2330", "3_gpt_generation", "total_time", "gpt-4o-mini", "USD"):
        assert expected in done.stdout
    assert "\x1b" not in done.stdout


def test_generate_stream(emulator: Emulator) -> None:
    done = postgen_command("generate", *REQUEST_FLAGS, *llm_flags(emulator), "--stream")
    assert (done.stderr, done.returncode) == ("", 0)
    live, _, _ = done.stdout.partition("╭")
    assert "台積電" in live
    events = postgen_command(
        "generate", *REQUEST_FLAGS, *llm_flags(emulator), "--stream", "--json"
    ).stdout.splitlines()
    assert json.loads(events[-1])["result"]["success"] is True


def test_request_from_a_file_and_flags_over_it(emulator: Emulator, tmp_path: Path) -> None:
    request = {"stock_code": "2330", "kol_serial": 1, "versions": 2}
    path = tmp_path / "request.json"
    path.write_text(json.dumps(request))
    for source, stdin in ((str(path), ""), ("-", json.dumps(request))):
        done = postgen_command(
            "generate",
            f"--request={source}",
            "--stock-code=2317",
            *llm_flags(emulator),
            "--json",
            stdin=stdin,
        )
        reply = json.loads(done.stdout)
        assert reply["stock_info"]["stock_code"] == "2317"
        assert len(reply["postgen"]["versions"]) == 2


def test_precedence_of_options(emulator: Emulator, tmp_path: Path) -> None:
    config = tmp_path / "postgen.toml"
    config.write_text(
        f'[llm]\nbase_url = "{emulator.url}"\napi_key = "from-file"\ndefault_model = "gpt-4.1"\n'
    )
    env = {"OPENAI_API_KEY": "from-env", "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}

    def model(*flags: str) -> str:
        done = postgen_command(
            "generate", *REQUEST_FLAGS, f"--config={config}", "--json", *flags, env=env
        )
        return str(json.loads(done.stdout)["postgen"]["model"])

    assert model() == "gpt-4.1"  # the file's URL won over the environment's
    assert model("--model=gpt-4o") == "gpt-4o"
    assert model("--llm-default-model=gpt-4o") == "gpt-4o"


def test_api_key_file(start_emulator: StartEmulator, tmp_path: Path) -> None:
    emulator = start_emulator("--api-key=sesame")
    key = tmp_path / "key"
    key.write_text("sesame\n")
    arguments = ["generate", *REQUEST_FLAGS, f"--base-url={emulator.url}", "--json"]
    assert postgen_command(*arguments, f"--api-key-file={key}").returncode == 0
    refused = postgen_command(*arguments, "--api-key=canary-key")
    assert refused.returncode == 1
    assert json.loads(refused.stdout)["error_type"] == "auth"
    assert "canary" not in refused.stdout + refused.stderr


def test_cache_flag_means_mode_or_url(emulator: Emulator) -> None:
    for flag in ("--cache=bypass", "--cache=none:"):
        done = postgen_command("generate", *REQUEST_FLAGS, *llm_flags(emulator), "--json", flag)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["generate", "--stock-code=2330"], "kol_serial"),
        (["generate", "--kol-serial=x", "--stock-code=2330"], "kol_serial"),
        (["generate", *REQUEST_FLAGS, "--llm-temperature=3"], "llm.temperature"),
        (["generate", *REQUEST_FLAGS, "--profile={"], "--profile"),
        (["generate", *REQUEST_FLAGS, "--config=missing.toml"], "missing.toml"),
        (["generate", "--request=missing.json"], "missing.json"),
        (["generate", "--no-such-flag"], "--no-such-flag"),
        (["batch", "missing.jsonl"], "missing.jsonl"),
        (["batch", "-", "--resume"], "--resume"),
        (["migrate"], "--store"),
        (["cost", "--model=no-such"], "no-such"),
        (["probe"], "--models"),
        (["probe", "--models=a,,b"], "--models"),
        (["probe", "--models=a", "--posts=0"], "--posts"),
        (["report"], "report"),
        (["no-such-command"], "no-such-command"),
        (["emulator", "--no-such-flag=1"], "--no-such-flag"),
    ],
)
def test_usage_errors_are_one_line_and_status_2(arguments: list[str], named: str) -> None:
    extra = ["--llm-provider=template"] if arguments[0] == "generate" else []
    done = postgen_command(*arguments, *extra)
    assert done.returncode == 2
    assert named in done.stderr.replace("no-such-flag=1", "no-such-flag")
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("flags", "code", "field"),
    [
        (["--stock-code=2330"], "invalid_request", "kol_serial"),
        ([*REQUEST_FLAGS, "--llm-temperature=3"], "invalid_config", "llm.temperature"),
    ],
)
def test_with_json_a_refusal_is_a_document_too(flags: list[str], code: str, field: str) -> None:
    template = "--llm-provider=template"
    done = postgen_command("generate", *flags, template, "--json")
    assert done.returncode == 2
    reply = json.loads(done.stdout)
    assert list(reply) == [
        "success",
        "message",
        "detail",
        "error_type",
        "timestamp",
        "postgen",
    ]
    assert (reply["success"], reply["error_type"]) == (False, code)
    assert field in reply["message"]
    streamed = postgen_command("generate", *flags, template, "--json", "--stream")
    assert streamed.returncode == 2
    last = json.loads(streamed.stdout.splitlines()[-1])
    assert last.get("result", last)["error_type"] == code
    assert len(streamed.stderr.splitlines()) == 1


def test_a_failed_post_is_status_1(start_emulator: StartEmulator) -> None:
    emulator = start_emulator("--fail=status=400")
    done = postgen_command("generate", *REQUEST_FLAGS, *llm_flags(emulator))
    assert (done.stdout, done.returncode) == ("", 1)
    assert done.stderr.startswith("postgen: refused: ")
    assert len(done.stderr.splitlines()) == 1


def test_batch(emulator: Emulator, tmp_path: Path) -> None:
    requests = tmp_path / "posts.jsonl"
    lines = [{"stock_code": str(n), "kol_serial": 1} for n in range(12)]
    requests.write_text("\n".join(json.dumps(line) for line in lines) + "\n\n")
    output = tmp_path / "results.jsonl"
    done = postgen_command("batch", str(requests), f"--output={output}", *llm_flags(emulator))
    assert (done.stdout, done.returncode) == ("", 0)
    replies = [json.loads(line) for line in output.read_text().splitlines()]
    assert [reply["stock_info"]["stock_code"] for reply in replies] == [str(n) for n in range(12)]
    assert "12/12 posts, 0 failed" in done.stderr


def test_batch_with_a_failed_post(emulator: Emulator) -> None:
    lines = '{"stock_code": "1", "kol_serial": 1}\n{"stock_code": "2"}\n'
    done = postgen_command("batch", "-", *llm_flags(emulator), stdin=lines)
    assert done.returncode == 1
    replies = [json.loads(line) for line in done.stdout.splitlines()]
    assert [reply["success"] for reply in replies] == [True, False]


def test_batch_refuses_a_wrong_line_before_paying(emulator: Emulator) -> None:
    done = postgen_command(
        "batch", "-", *llm_flags(emulator), stdin='{"stock_code": "1", "kol_serial": 1}\n{\n'
    )
    assert done.returncode == 2
    assert "line 2" in done.stderr
    assert emulator.ledger()["requests_total"] == 0


def test_cost() -> None:
    done = postgen_command("cost", "--model=gpt-4o-mini", "--json")
    (row,) = json.loads(done.stdout)["costs"]
    assert row == {
        "model": "gpt-4o-mini",
        "call_usd": 0.0006,
        "post_usd": 0.003,
        "day_usd": 3.0,
        "month_usd": 90.0,
    }
    table = postgen_command("cost").stdout
    assert "gpt-4o-mini" in table
    assert "0.003000" in table


def test_cost_with_own_prices(tmp_path: Path) -> None:
    config = tmp_path / "postgen.toml"
    config.write_text("[llm.prices.mine]\ninput = 1\ncached_input = 1\noutput = 2\n")
    done = postgen_command("cost", "--model=mine", f"--config={config}", "--json")
    assert json.loads(done.stdout)["costs"][0]["call_usd"] == 0.003


def test_doctor(emulator: Emulator, tmp_path: Path) -> None:
    store = f"--store=sqlite:{tmp_path / 'posts.db'}"
    done = postgen_command("doctor", *llm_flags(emulator), store, "--json")
    findings = json.loads(done.stdout)
    assert done.returncode == 0, done.stdout
    assert {finding["subject"] for finding in findings} >= {"llm", "store", "cache"}
    assert emulator.ledger()["completion_tokens"] == 0
    table = postgen_command("doctor", *llm_flags(emulator), store).stdout
    assert "store" in table


def test_doctor_finds_a_wrong_key(start_emulator: StartEmulator) -> None:
    emulator = start_emulator("--api-key=sesame")
    done = postgen_command("doctor", *llm_flags(emulator), "--json")
    assert done.returncode == 1
    levels = {finding["subject"]: finding["level"] for finding in json.loads(done.stdout)}
    assert levels["llm"] == "error"


def test_doctor_checks_the_rest_without_a_key(tmp_path: Path) -> None:
    done = postgen_command("doctor", f"--store=sqlite:{tmp_path / 'posts.db'}", "--json")
    assert done.returncode == 1
    levels = {finding["subject"]: finding["level"] for finding in json.loads(done.stdout)}
    assert (levels["llm"], levels["store"]) == ("error", "ok")


def test_spools_of_other_stores_are_told(emulator: Emulator, tmp_path: Path) -> None:
    """Such as one that was left when the store's URL was changed: nobody would move it."""
    flags = [f"--store=sqlite:{tmp_path / 'posts.db'}", f"--store-spool={tmp_path}"]
    for name in ("0123456789abcdef-1.spool", "0123456789abcdef-2.spool"):
        (tmp_path / name).write_bytes(b"not looked at")
    told = "2 other spools here belong to other stores"
    listed = postgen_command("spool", "list", *flags)
    assert (listed.stdout, listed.returncode) == ("nothing waits\n", 0)
    assert listed.stderr == f"postgen: {told}\n"
    doctor = postgen_command("doctor", *flags, *llm_flags(emulator), "--json")
    findings = {finding["subject"]: finding for finding in json.loads(doctor.stdout)}
    assert findings["spool"]["message"].endswith(f"in {tmp_path}; {told}")
    assert findings["spool"]["level"] == "ok"
    assert (tmp_path / "0123456789abcdef-1.spool").read_bytes() == b"not looked at"


def test_a_spool_that_is_at_work_is_told(tmp_path: Path) -> None:
    """Nobody is to take the posts of a running process for lost."""
    store = "postgresql://nobody@127.0.0.1:1/nowhere"
    flags = [f"--store={store}", f"--store-spool={tmp_path}"]
    options: dict[str, Any] = {
        "llm": {"provider": "template"},
        "store": {"url": store, "spool": str(tmp_path)},
    }
    with postgen.PostGenerator(**options) as generator:
        generator.generate({"stock_code": "2330", "kol_serial": 208, "versions": 1})
        assert len(generator.list_spool()) == 1
        listed = postgen_command("spool", "list", *flags)
    assert (listed.stdout, listed.returncode) == ("nothing waits\n", 0)
    assert "1 held by others who are at work" in listed.stderr


def test_migrate(tmp_path: Path) -> None:
    store = f"--store=sqlite:{tmp_path / 'posts.db'}"
    first = postgen_command("migrate", store)
    assert first.returncode == 0, first.stderr
    again = postgen_command("migrate", store, "--json")
    assert (json.loads(again.stdout), again.returncode) == ([], 0)


def test_migrate_postgres() -> None:
    url = os.environ.get("POSTGEN_TEST_POSTGRES_URL")
    if not url:
        pytest.skip("needs scripts/with-postgres")
    done = postgen_command("migrate", env={"DATABASE_URL": url})
    assert done.returncode == 0, done.stderr
    generated = postgen_command(
        "generate",
        *REQUEST_FLAGS,
        "--llm-provider=template",
        "--json",
        env={"DATABASE_URL": url},
    )
    assert json.loads(generated.stdout)["postgen"]["stored"] == "stored"


def test_emulator_command() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "postgen", "emulator", "--exit-with-parent"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert "listening on http://127.0.0.1:" in process.stdout.readline()
        process.terminate()


def test_environment_of_a_strange_machine(emulator: Emulator) -> None:
    """Proxies, PG variables and a comma locale change nothing."""
    env = {
        "HTTP_PROXY": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
        "ALL_PROXY": "http://127.0.0.1:9",
        "PGHOST": "nowhere.invalid",
        "LC_ALL": "de_DE.UTF-8",
    }
    done = postgen_command("generate", *REQUEST_FLAGS, *llm_flags(emulator), "--json", env=env)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["postgen"]["cost_usd"] > 0
