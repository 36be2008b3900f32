"""What callers may hand in by mistake, and what they may not do with a generator."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest

import postgen


class Name(str):
    pass


@pytest.fixture
def offline() -> Any:
    with postgen.PostGenerator(
        llm={"provider": "template", "api_key": "canary-key"}, cache={"url": "none:"}
    ) as generator:
        yield generator


@pytest.mark.parametrize(
    ("request_", "raises", "named"),
    [
        (None, TypeError, "mapping"),
        (b"{}", TypeError, "mapping"),
        ([], TypeError, "mapping"),
        ({"stock_code": b"2330", "kol_serial": 1}, TypeError, "bytes"),
        ({"stock_code": object(), "kol_serial": 1}, TypeError, "object"),
        ({"stock_code": "\ud83d", "kol_serial": 1}, ValueError, "surrogate"),
        ({"stock_code": "a\0b", "kol_serial": 1}, ValueError, "stock_code"),
        ({"stock_code": "2330", "kol_serial": 10**400}, ValueError, "JSON"),
        ({"stock_code": "2330", "kol_serial": 10**15}, ValueError, "kol_serial"),
        ({"stock_code": "2330", "kol_serial": float("nan")}, ValueError, "NaN"),
        ({"stock_code": "2330", "kol_serial": True}, ValueError, "kol_serial"),
        ({"stock_code": "2330"}, ValueError, "kol_serial"),
        ({"kol_serial": 1}, ValueError, "stock_code"),
        ({"stock_code": "2330", "kol_serial": 1, "max_words": 5}, ValueError, "max_words"),
        ({"stock_code": "2330", "kol_serial": 1, "title": "x" * 70000}, ValueError, "title"),
    ],
)
def test_refused_requests(
    offline: postgen.PostGenerator, request_: Any, raises: type[Exception], named: str
) -> None:
    before = offline.metrics()["posts"]["started"]
    with pytest.raises(raises, match=named) as caught:
        offline.generate(request_)
    if isinstance(caught.value, postgen.Error):
        assert type(caught.value) is postgen.BadRequestError
        assert caught.value.status == 400
    assert offline.metrics()["posts"]["started"] == before


async def test_refused_requests_awaited(offline: postgen.PostGenerator) -> None:
    with pytest.raises(postgen.BadRequestError):
        await offline.agenerate({"stock_code": "2330"})
    with pytest.raises(TypeError):
        await offline.agenerate(b"{}")  # type: ignore[arg-type]


def test_coercion(offline: postgen.PostGenerator) -> None:
    post = offline.generate(
        {"stock_code": 2330, "kol_serial": "KOL-208", "max_words": "150", "unknown": [1]}
    )
    assert post.reply["stock_info"]["stock_code"] == "2330"
    assert post.reply["kol_info"]["kol_serial"] == 208
    same = offline.generate({Name("stock_code"): Name("2330"), "kol_serial": 208.0})
    assert same.ok


def test_a_near_miss_is_a_warning(offline: postgen.PostGenerator) -> None:
    post = offline.generate({"stock_code": "2330", "kol_serial": 208, "max_word": 100})
    assert any("max_word" in warning for warning in post.warnings)


@pytest.mark.parametrize("make_copy", [pickle.dumps, copy.copy, copy.deepcopy])
def test_generators_are_not_copied(offline: postgen.PostGenerator, make_copy: Any) -> None:
    with pytest.raises(TypeError, match="make one in each process"):
        make_copy(offline)


def test_no_key_is_shown(offline: postgen.PostGenerator) -> None:
    assert "canary" not in repr(offline)
    assert "canary" not in str(offline.metrics())
    assert "canary" not in str(vars(postgen.ConfigError("x", code="invalid_config")))


def test_errors_survive_pickling() -> None:
    error = postgen.RateLimitError("slow", code="rate_limited", details={"retry_after_ms": 5})
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is postgen.RateLimitError
    assert (str(again), again.code, again.details) == ("slow", "rate_limited", error.details)
    assert again.reply == error.reply


def test_from_env(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:{tmp_path / 'posts.db'}")
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")  # away: a miss
    with postgen.PostGenerator.from_env(llm={"provider": "template"}) as generator:
        post = generator.generate({"stock_code": "2330", "kol_serial": 208})
    assert post.reply["postgen"]["stored"] == "stored"
    monkeypatch.setenv("OPENAI_BASE_URL", "ftp://nowhere")
    with pytest.raises(postgen.ConfigError, match=r"llm\.base_url"):
        postgen.PostGenerator.from_env()


def test_the_environment_is_otherwise_left_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "ftp://nowhere")
    monkeypatch.setenv("DATABASE_URL", "nonsense")
    postgen.PostGenerator(llm={"provider": "template"}).close()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[llm]\nmodel = 'x'\n", "llm.model"),
        ("[llm]\ntemperature = 'hot'\n", "llm.temperature"),
        ("llm = [", "not TOML"),
        ('[llm]\nbase_url = "http://a\\u0000b"\n', "llm.base_url"),
    ],
)
def test_refused_files(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "postgen.toml"
    path.write_text(text)
    with pytest.raises(postgen.ConfigError, match=named):
        postgen.PostGenerator.from_file(path)


def test_from_file(tmp_path: Path) -> None:
    path = tmp_path / "postgen.toml"
    path.write_text("[llm]\nprovider = 'template'\n[store]\nurl = 'memory:'\n")
    with postgen.PostGenerator.from_file(path) as generator:
        post = generator.generate({"stock_code": "2330", "kol_serial": 208})
    assert post.reply["postgen"]["stored"] == "stored"
    with pytest.raises(postgen.ConfigError, match=r"missing\.toml"):
        postgen.PostGenerator.from_file(tmp_path / "missing.toml")


def test_metrics_text_says_what_metrics_say(offline: postgen.PostGenerator) -> None:
    offline.generate({"stock_code": "2330", "kol_serial": 208})
    with pytest.raises(postgen.BadRequestError):
        offline.generate({"stock_code": "2330"})
    metrics, text = offline.metrics(), offline.metrics_text()
    lines = text.splitlines()
    assert "postgen_posts_ok_total 1" in lines
    assert "# TYPE postgen_posts_pending gauge" in lines
    assert f"postgen_versions_ok_total {metrics['versions']['ok']}" in lines
    assert 'postgen_cache_total{result="hits"} 0' in lines
    for line in lines:
        assert line.startswith(("# TYPE postgen_", "postgen_"))
