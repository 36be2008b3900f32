"""postgen probe against an emulator with three models of different speeds and prices."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from conftest import Emulator, StartEmulator
from postgen.cli import show
from test_cli import llm_flags, postgen_command

# Model -> time to the first token (ms), tokens a second, USD per million tokens in and out.
MODELS = {
    "early": (20, 200, 4.0, 8.0),
    "fluent": (150, 900, 2.0, 2.0),
    "slow": (500, 60, 1.0, 1.0),
}


@pytest.fixture
def three_models(start_emulator: StartEmulator) -> Emulator:
    return start_emulator(
        *(f"--model-speed={name}={ttft},{rate}" for name, (ttft, rate, _, _) in MODELS.items()),
        "--unknown-model-404=gone",
    )


def probe(
    emulator: Emulator, tmp_path: Path, models: str, *more: str
) -> subprocess.CompletedProcess[str]:
    prices = {
        name: {"input": price_in, "cached_input": price_in, "output": price_out}
        for name, (_, _, price_in, price_out) in MODELS.items()
    }
    request = tmp_path / "request.json"
    request.write_text(json.dumps({"stock_code": "2330", "kol_serial": 1, "max_words": 60}))
    return postgen_command(
        "probe",
        f"--models={models}",
        f"--request={request}",
        f"--llm-prices={json.dumps(prices)}",
        *llm_flags(emulator),
        *more,
    )


def rows_of(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    return {row["model"]: row for row in json.loads(done.stdout)["models"]}


def test_compares_models(three_models: Emulator, tmp_path: Path) -> None:
    done = probe(three_models, tmp_path, ",".join(MODELS), "--posts=2", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["posts"], document["versions"]) == (2, 5)
    rows = rows_of(done)
    assert list(rows) == list(MODELS)
    early, fluent, slow = rows.values()
    assert early["ttft_ms"] < fluent["ttft_ms"] < slow["ttft_ms"]
    assert fluent["tokens_per_s"] > early["tokens_per_s"] > slow["tokens_per_s"]
    assert fluent["post_ms"] < early["post_ms"] < slow["post_ms"]
    books = three_models.ledger()["by_model"]
    for name, (ttft_ms, rate, price_in, price_out) in MODELS.items():
        # No machine makes the emulator quicker than it was told to be.
        assert rows[name]["ttft_ms"] >= ttft_ms
        assert rows[name]["tokens_per_s"] < 1.5 * rate
        assert rows[name]["post_ms"] > rows[name]["ttft_ms"]
        assert books[name]["requests"] == 10  # neither hedged nor cached
        paid = (
            books[name]["prompt_tokens"] * price_in + books[name]["completion_tokens"] * price_out
        )
        assert rows[name]["post_usd"] == pytest.approx(paid / 1e6 / 2)
        assert document["estimated_usd"][name] == pytest.approx(
            10 * (2000 * price_in + 500 * price_out) / 1e6
        )


def test_a_table_for_people(three_models: Emulator, tmp_path: Path) -> None:
    done = probe(three_models, tmp_path, "early,fluent", "--posts=1", "--versions=1", "--yes")
    assert done.returncode == 0, done.stderr
    assert "about 0.0170 USD" in done.stderr
    for expected in ("early", "fluent", "tokens/s", "a post, USD"):
        assert expected in done.stdout


def test_the_table_has_the_figures(capsys: pytest.CaptureFixture[str]) -> None:
    figures = {"ttft_ms": 152.6, "tokens_per_s": 199.26, "post_ms": 1023.3, "post_usd": 0.009187}
    failure = {"code": "refused", "count": 5, "message": "no such model"}
    show.probe(
        {
            "posts": 2,
            "versions": 5,
            "models": [
                {"model": "fluent", "failures": [], **figures},
                {"model": "gone", "failures": [failure], **dict.fromkeys(figures)},
            ],
        }
    )
    lines = [
        [cell.strip() for cell in line.replace("┃", "│").split("│")[1:-1]]
        for line in capsys.readouterr().out.splitlines()
        if line.startswith(("┃", "│"))
    ]
    header, fluent, gone = lines[0], lines[1], lines[2]
    assert header[:5] == ["model", "first token, ms", "tokens/s", "a post, s", "a post, USD"]
    assert fluent == ["fluent", "153", "199.3", "1.02", "0.009187", ""]
    assert gone[:5] == ["gone", "", "", "", ""]
    assert gone[5].startswith("5 x refused")


def test_failures_are_rows(three_models: Emulator, tmp_path: Path) -> None:
    stand_ins = ("--llm-fallback-models=early", "--llm-on-failure=template")
    done = probe(three_models, tmp_path, "gone,early", "--posts=1", "--yes", "--json", *stand_ins)
    assert done.returncode == 1
    rows = rows_of(done)
    (failure,) = rows["gone"]["failures"]
    assert (failure["code"], failure["count"]) == ("refused", 5)
    assert (rows["gone"]["ttft_ms"], rows["gone"]["post_usd"]) == (None, None)
    assert (rows["early"]["failures"], rows["early"]["posts"]) == ([], 1)
    table = probe(three_models, tmp_path, "gone", "--posts=1", "--yes")
    assert "5 x refused" in table.stdout


def test_spends_nothing_without_being_told(three_models: Emulator, tmp_path: Path) -> None:
    done = probe(three_models, tmp_path, "early,dear", "--posts=1")
    assert (done.returncode, done.stdout) == (2, "")
    assert "about 0.0600 USD" in done.stderr
    assert "dear" in done.stderr  # of unknown price
    assert "--yes" in done.stderr
    assert three_models.ledger()["requests_total"] == 0
