"""The demonstration, beside a hostile environment."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

from test_cli import postgen_command

HOSTILE = {
    "OPENAI_API_KEY": "canary-key",
    "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
    "DATABASE_URL": "postgresql://nobody:canary-password@127.0.0.1:9/none",
    "REDIS_URL": "redis://127.0.0.1:9",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "http_proxy": "http://127.0.0.1:9",
    "ALL_PROXY": "http://127.0.0.1:9",
}


def test_demo(tmp_path: Path) -> None:
    done = postgen_command("demo", f"--dir={tmp_path}", env=HOSTILE)
    assert (done.stderr, done.returncode) == ("", 0)
    out = done.stdout
    for stock in ("台積電", "鴻海", "聯發科", "長榮", "富邦金", "台達電", "大立光", "中華電"):
        assert stock in out
    for shown in (
        "3_gpt_generation",
        "total_time",
        "20 times",
        "tokens out",
        "cost at list prices",
    ):
        assert shown in out
    assert str(tmp_path / "posts.db") in out
    assert "canary" not in out
    speed_ups = [float(number) for number in re.findall(r"([0-9.]+)x as fast", out)]
    assert len(speed_ups) == 2
    assert all(speed_up > 1 for speed_up in speed_ups)
    for name in ("app.db", "posts.db"):
        with closing(sqlite3.connect(tmp_path / name)) as database:
            assert database.execute("SELECT count(*) FROM post_records").fetchone() == (10,)


def test_an_older_demo_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "posts.db").touch()
    done = postgen_command("demo", f"--dir={tmp_path}")
    assert done.returncode == 2
    assert "posts.db" in done.stderr


def test_live_wants_a_key_and_asks() -> None:
    assert postgen_command("demo", "--live").returncode == 2
    asked = postgen_command("demo", "--live", env={"OPENAI_API_KEY": "canary-key"})
    assert asked.returncode == 2
    assert "--yes" in asked.stderr
    assert "canary" not in asked.stdout + asked.stderr
