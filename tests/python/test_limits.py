"""Budgets and shared limits, by the Python door and the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import postgen

REQUEST = {"stock_code": "2330", "stock_name": "台積電", "kol_serial": 208, "versions": 2}


@pytest.fixture
def redis_url() -> Iterator[str]:
    """Redis on a free port; gone with the test."""
    with tempfile.TemporaryDirectory(prefix="postgen-redis-") as folder:
        port = _free_port()
        server = subprocess.Popen(
            ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""],
            cwd=folder, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert server.stdout is not None
        assert any("eady to accept connections" in line for line in server.stdout)
        yield f"redis://127.0.0.1:{port}"
        server.kill()
        server.communicate()


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_a_budget_survives_its_process(emulator: Any, tmp_path: Path) -> None:
    """In processes of their own: what the first one spent, the others cannot."""
    options: dict[str, Any] = {
        "llm": {"base_url": emulator.url, "api_key": "sk-test"},
        "store": {"url": f"sqlite:{tmp_path}/posts.db"},
        "cache": {"url": "none:"},
        "budget_usd_per_day": 0.002,
    }
    script = (
        "import json, sys, postgen\n"
        "options, request = json.loads(sys.argv[1]), json.loads(sys.argv[2])\n"
        "with postgen.PostGenerator(**options) as generator:\n"
        "    try:\n"
        "        print(json.dumps({'cost': generator.generate(request).cost_usd}))\n"
        "    except postgen.BudgetError as error:\n"
        "        print(json.dumps({'status': error.status, 'message': str(error)}))\n"
    )
    spent = 0.0
    for _ in range(40):
        done = subprocess.run(
            [sys.executable, "-c", script, json.dumps(options), json.dumps(REQUEST)],
            capture_output=True, text=True, check=True, env=os.environ,
        )  # fmt: skip
        answer = json.loads(done.stdout)
        if "cost" not in answer:
            break
        spent += answer["cost"]
    assert answer["status"] == 402
    assert "budget_usd_per_day" in answer["message"]
    # Each post reserves more than it costs, so the day ends within the budget, and near it.
    assert 0.001 < spent <= 0.002
    with postgen.PostGenerator(**options) as generator:
        findings = {finding["subject"]: finding for finding in generator.diagnose()}
        assert f"{spent:.5f}"[:6] in findings["budget"]["message"]
        budget = generator.metrics()["budget"]
        assert budget["limit_usd"] == 0.002
        assert "postgen_budget_spent_today_usd" in generator.metrics_text()


def test_shared_limits_are_shown(emulator: Any, redis_url: str) -> None:
    options: dict[str, Any] = {
        "llm": {"base_url": emulator.url, "api_key": "sk-test"},
        "cache": {"url": "none:"},
        "shared": {"url": redis_url},
        "budget_usd_per_day": 5,
    }
    with postgen.PostGenerator(**options) as one, postgen.PostGenerator(**options) as other:
        # They call their names every few seconds, and the first to connect was alone.
        give_up = time.monotonic() + 30
        while (shared := other.metrics()["shared"])["processes"] < 2:
            assert time.monotonic() < give_up, shared
            time.sleep(0.005)
        assert one.generate(REQUEST).ok
        assert other.generate(REQUEST).ok
        metrics = other.metrics()
        assert metrics["shared"]["connected"] == 1
        assert metrics["shared"]["processes"] == 2
        assert metrics["llm"]["endpoints"][0]["sharing_processes"] == 2
        assert metrics["llm"]["endpoints"][0]["shared_limits_away"] is False
        assert "postgen_shared_processes 2" in other.metrics_text()
        findings = {finding["subject"]: finding for finding in other.diagnose()}
        assert findings["shared"]["level"] == "ok"
        assert "2 processes" in findings["shared"]["message"]
        # One budget over both.
        assert other.metrics()["budget"]["spent_today_usd"] > 0


def test_shared_limits_that_are_away_are_said(emulator: Any) -> None:
    options: dict[str, Any] = {
        "llm": {"base_url": emulator.url, "api_key": "sk-test"},
        "cache": {"url": "none:"},
        "shared": {"url": "redis://:secret@127.0.0.1:1"},
    }
    with postgen.PostGenerator(**options) as generator:
        assert generator.generate(REQUEST).ok  # limits are kept alone
        assert generator.metrics()["shared"]["connected"] == 0
        findings = {finding["subject"]: finding for finding in generator.diagnose()}
        assert findings["shared"]["level"] == "warning"
        assert "share" in findings["shared"]["message"]
        assert "secret" not in json.dumps(findings)
    unknown = postgen.PostGenerator(**options, budget_usd_per_day=1)
    with unknown, pytest.raises(postgen.BudgetError):  # what was spent today is not known
        unknown.generate(REQUEST)


def test_tls_is_refused_with_a_reason() -> None:
    with pytest.raises(postgen.ConfigError, match="TLS"):
        postgen.PostGenerator(shared={"url": "rediss://localhost"})
