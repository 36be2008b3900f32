"""postgen probe against an emulator with three models of different speeds and prices."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from conftest import Emulator, StartEmulator
from test_cli import llm_flags, postgen_command

# Model -> time to the first token (ms), tokens a second, USD per million tokens in and out.
MODELS = {
    "quick": (20, 900, 4.0, 8.0),
    "middling": (150, 200, 2.0, 2.0),
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
    quick, middling, slow = rows.values()
    assert quick["ttft_ms"] < middling["ttft_ms"] < slow["ttft_ms"]
    assert quick["tokens_per_s"] > middling["tokens_per_s"] > slow["tokens_per_s"]
    assert quick["post_ms"] < middling["post_ms"] < slow["post_ms"]
    books = three_models.ledger()["by_model"]
    for name, (ttft_ms, _, price_in, price_out) in MODELS.items():
        assert rows[name]["ttft_ms"] >= ttft_ms
        assert books[name]["requests"] == 10  # neither hedged nor cached
        paid = (
            books[name]["prompt_tokens"] * price_in + books[name]["completion_tokens"] * price_out
        )
        assert rows[name]["post_usd"] == pytest.approx(paid / 1e6 / 2)
        assert document["estimated_usd"][name] == pytest.approx(
            10 * (2000 * price_in + 500 * price_out) / 1e6
        )


def test_a_table_for_people(three_models: Emulator, tmp_path: Path) -> None:
    done = probe(three_models, tmp_path, "quick,middling", "--posts=1", "--versions=1", "--yes")
    assert done.returncode == 0, done.stderr
    assert "about 0.0170 USD" in done.stderr
    for expected in ("quick", "middling", "tokens/s", "a post, USD"):
        assert expected in done.stdout


def test_failures_are_rows(three_models: Emulator, tmp_path: Path) -> None:
    stand_ins = ("--llm-fallback-models=quick", "--llm-on-failure=template")
    done = probe(three_models, tmp_path, "gone,quick", "--posts=1", "--yes", "--json", *stand_ins)
    assert done.returncode == 1
    rows = rows_of(done)
    (failure,) = rows["gone"]["failures"]
    assert (failure["code"], failure["count"]) == ("refused", 5)
    assert (rows["gone"]["ttft_ms"], rows["gone"]["post_usd"]) == (None, None)
    assert (rows["quick"]["failures"], rows["quick"]["posts"]) == ([], 1)
    table = probe(three_models, tmp_path, "gone", "--posts=1", "--yes")
    assert "5 x refused" in table.stdout


def test_spends_nothing_without_being_told(three_models: Emulator, tmp_path: Path) -> None:
    done = probe(three_models, tmp_path, "quick,dear", "--posts=1")
    assert (done.returncode, done.stdout) == (2, "")
    assert "about 0.0600 USD" in done.stderr
    assert "dear" in done.stderr  # of unknown price
    assert "--yes" in done.stderr
    assert three_models.ledger()["requests_total"] == 0
